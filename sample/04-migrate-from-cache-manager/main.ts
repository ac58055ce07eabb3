import type { Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppModule as After } from './after/app.module.js';
import { AppModule as Before } from './before/app.module.js';
import { Supplier } from './supplier.js';

const PATHS = ['/prices/tea', '/prices/tea', '/prices/coffee', '/prices', '/prices'];

/** Runs both apps twice, each time in a new process, and prints how often each had to call its supplier. */
async function main(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'migrate-'));
  process.env['LANE_CACHE_DIR'] = directory;
  try {
    for (const [name, AppModule] of [
      ['before', Before],
      ['after', After],
    ] as const) {
      console.log(`${name}: first start ${await serve(AppModule)} calls, second start ${await serve(AppModule)} calls`);
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function serve(AppModule: Type<object>): Promise<number> {
  const app = await NestFactory.create(AppModule, { logger: false });
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  for (const path of PATHS) await (await fetch(`${url}${path}`)).json();
  const { calls } = app.get(Supplier);
  await app.close();
  return calls;
}

await main();
