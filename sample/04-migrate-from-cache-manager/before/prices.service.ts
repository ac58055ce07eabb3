import { CACHE_MANAGER, type Cache } from '@nestjs/cache-manager';
import { Inject, Injectable } from '@nestjs/common';
import { Supplier } from '../supplier.js';

export interface Price {
  readonly product: string;
  readonly cents: number;
}

@Injectable()
export class PricesService {
  constructor(
    @Inject(Supplier) private readonly supplier: Supplier,
    @Inject(CACHE_MANAGER) private readonly cache: Cache,
  ) {}

  async priceOf(product: string): Promise<Price> {
    return this.cache.wrap(
      `price:${product}`,
      async () => ({ product, cents: await this.supplier.priceOf(product) }),
      60_000,
    );
  }

  async changed(product: string): Promise<void> {
    await this.cache.del(`price:${product}`);
  }
}
