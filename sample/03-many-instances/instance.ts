import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { getLaneToken, type CacheManager } from 'nestjs-lane-cache';
import { AppModule } from './app.module.js';
import type { Order, Report } from './messages.js';
import { PricesService } from './prices.service.js';

/** One instance of the app: `instance.js <redis url>`, controlled by messages. */
async function main(): Promise<void> {
  const app = await NestFactory.createApplicationContext(AppModule.sharing(process.argv[2] ?? ''), {
    logger: ['warn'],
  });
  const prices = app.get(PricesService);
  const cache = app.get<CacheManager>(getLaneToken('prices'));
  let askedAt: readonly string[] = [];
  const obey = async (order: Order): Promise<void> => {
    if (order.order === 'ask') {
      const found = await Promise.all(order.articles.map((article) => prices.priceOf(article)));
      askedAt = found.map((price) => price.askedAt.toISOString());
    } else if (order.order === 'changed') {
      await prices.changed(order.article);
    } else if (order.order === 'stop') {
      await app.close();
      process.disconnect();
      return;
    }
    const { requests, l1, l4 } = cache.getMetrics();
    const report: Report = { requests, computations: prices.computations, hits: { l1: l1.hits, l4: l4.hits }, askedAt };
    process.send?.(report);
  };
  process.on('message', (order: Order) => void obey(order));
  process.send?.('ready');
}

await main();
