import { Inject, Injectable } from '@nestjs/common';
import { Cached, CacheInvalidate } from 'nestjs-lane-cache';
import { Supplier } from '../supplier.js';

export interface Price {
  readonly product: string;
  readonly cents: number;
}

@Injectable()
export class PricesService {
  constructor(@Inject(Supplier) private readonly supplier: Supplier) {}

  @Cached({ key: 'price:{0}', ttl: '60s' })
  async priceOf(product: string): Promise<Price> {
    return { product, cents: await this.supplier.priceOf(product) };
  }

  @CacheInvalidate({ key: 'price:{0}' })
  async changed(_product: string): Promise<void> {}
}
