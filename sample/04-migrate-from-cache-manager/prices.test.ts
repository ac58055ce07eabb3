import type { INestApplication, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { AppModule as After } from './after/app.module.js';
import { AppModule as Before } from './before/app.module.js';
import { Supplier } from './supplier.js';

const APPS: readonly (readonly [string, Type<object>])[] = [
  ['before', Before],
  ['after', After],
];

let directory = '';

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'prices-'));
});

after(() => rm(directory, { recursive: true, force: true }));

// The tests of the app, the same for both.
for (const [name, AppModule] of APPS) {
  void describe(`prices, ${name}`, () => {
    let app: INestApplication;
    let runs = 0;

    beforeEach(async () => {
      process.env['LANE_CACHE_DIR'] = join(directory, `${name}-${++runs}`);
      app = await NestFactory.create(AppModule, { logger: false });
      await app.listen(0, '127.0.0.1');
    });

    afterEach(() => app.close());

    const ask = async (path: string, method = 'GET'): Promise<unknown> => {
      const answer = await fetch(`${await app.getUrl()}${path}`, { method });
      return answer.status === 204 ? undefined : answer.json();
    };
    const calls = (): number => app.get(Supplier).calls;

    void it('asks for a price once', async () => {
      assert.deepEqual(await ask('/prices/tea'), { product: 'tea', cents: 300 });
      assert.deepEqual(await ask('/prices/tea'), { product: 'tea', cents: 300 });
      assert.equal(calls(), 1);
    });

    void it('asks for a price once when twenty want it', async () => {
      await Promise.all(Array.from({ length: 20 }, () => ask('/prices/cocoa')));
      assert.equal(calls(), 1);
    });

    void it('asks again when a price has changed', async () => {
      await ask('/prices/tea');
      await ask('/prices/tea', 'DELETE');
      await ask('/prices/tea');
      assert.equal(calls(), 2);
    });

    void it('keeps the response with the cheapest', async () => {
      assert.deepEqual(await ask('/prices'), { cheapest: 300 });
      assert.deepEqual(await ask('/prices'), { cheapest: 300 });
      assert.equal(calls(), 3);
    });
  });
}
