import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import type { WorkerMessage } from './messages.js';
import { serveDay } from './run.js';

/** Often enough to show progress, seldom enough not to affect what is measured. */
const PROGRESS_EVERY = 25;

/** One process of the app: `worker.js <library> <directory> cached|uncached <run> [<run>…]`. */
async function main(): Promise<void> {
  const [library = '', directory = '', caching, ...runs] = process.argv.slice(2);
  const module = AppModule.of(library, directory, caching === 'uncached' ? 'uncached' : 'cached');
  const app = await NestFactory.createApplicationContext(module, { logger: ['error', 'warn'] });
  for (const run of runs) {
    const lanes = await serveDay(app, (lane, done, total) => {
      if (done % PROGRESS_EVERY === 0 || done === total) tell({ type: 'progress', run, lane, done, total });
    });
    tell({ type: 'report', run, lanes });
  }
  await app.close();
  process.disconnect();
}

function tell(message: WorkerMessage): void {
  process.send?.(message);
}

await main();
