import { Injectable } from '@nestjs/common';
import { Cached, CacheInvalidate } from 'nestjs-lane-cache';
import { setTimeout as pause } from 'node:timers/promises';

export interface Price {
  readonly article: string;
  readonly cents: number;
  readonly askedAt: Date;
}

/** Gets prices from a slow supplier. */
@Injectable()
export class PricesService {
  computations = 0;

  @Cached({ lane: 'prices', key: 'price:{0}', tags: ['supplier'] })
  async priceOf(article: string): Promise<Price> {
    this.computations++;
    await pause(50);
    return { article, cents: article.length * 100, askedAt: new Date() };
  }

  /** The supplier has changed one price. */
  @CacheInvalidate({ lane: 'prices', key: 'price:{0}' })
  async changed(_article: string): Promise<void> {
    // the next caller gets the new price, on every instance
  }
}
