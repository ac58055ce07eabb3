import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { CacheManager, LaneCacheMetrics } from 'nestjs-lane-cache';
import { AppModule } from './app.module.js';
import type { Order, Report } from './messages.js';

/** One worker of the cluster: `worker.js <directory> <address of the supplier>`. All workers answer at one port. */
async function main(): Promise<void> {
  const [directory = '.lane-cache', supplierUrl = ''] = process.argv.slice(2);
  const app = await NestFactory.create(AppModule.over(directory, supplierUrl), { logger: ['warn', 'error'] });
  const cache = app.get(CacheManager);
  const metrics = app.get(LaneCacheMetrics);
  const report = (): Report => {
    const { requests, computed, l1, l2, l3 } = cache.getMetrics();
    const hits = { l1: l1.hits, l2: l2.hits, l3: l3.hits };
    return { role: metrics.report().host?.role, l3: l3.state, requests, computed, hits };
  };
  const stop = async (): Promise<void> => {
    // Answers what has been asked, then hands L3 over to the next owner.
    await app.close();
    process.disconnect();
  };
  process.on('message', (order: Order) => {
    if (order === 'report') process.send?.(report());
    else if (order === 'flush') void cache.flush().then(() => process.send?.(report()));
    else void stop();
  });
  await app.listen(0, '127.0.0.1');
}

await main();
