import { Inject, Injectable } from '@nestjs/common';
import { Cached, CacheInvalidate } from 'nestjs-lane-cache';

export const SUPPLIER_URL = Symbol('the address of the supplier');

export interface Price {
  readonly article: string;
  /** Counts the changes of the price. */
  readonly version: number;
}

/** Gets prices from a slow supplier. */
@Injectable()
export class PricesService {
  constructor(@Inject(SUPPLIER_URL) private readonly supplierUrl: string) {}

  @Cached({ key: 'price:{0}', tags: ['supplier'] })
  async priceOf(article: string): Promise<Price> {
    const answer = await fetch(`${this.supplierUrl}/${article}`);
    return (await answer.json()) as Price;
  }

  /** The supplier has changed a price. */
  @CacheInvalidate({ key: 'price:{0}' })
  async changed(_article: string): Promise<void> {
    // the next request gets the new price, whichever worker answers it
  }
}
