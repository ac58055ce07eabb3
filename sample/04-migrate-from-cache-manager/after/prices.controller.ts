import { CacheInterceptor, CacheTTL } from '@nestjs/cache-manager';
import { Controller, Delete, Get, HttpCode, Inject, Param, UseInterceptors } from '@nestjs/common';
import { Supplier } from '../supplier.js';
import { type Price, PricesService } from './prices.service.js';

@Controller('prices')
export class PricesController {
  constructor(
    @Inject(PricesService) private readonly prices: PricesService,
    @Inject(Supplier) private readonly supplier: Supplier,
  ) {}

  @Get(':product')
  price(@Param('product') product: string): Promise<Price> {
    return this.prices.priceOf(product);
  }

  @Get()
  @UseInterceptors(CacheInterceptor)
  @CacheTTL(5_000)
  async cheapest(): Promise<{ readonly cheapest: number }> {
    const products = ['tea', 'coffee', 'cocoa'];
    return { cheapest: Math.min(...(await Promise.all(products.map((product) => this.supplier.priceOf(product))))) };
  }

  @Delete(':product')
  @HttpCode(204)
  async changed(@Param('product') product: string): Promise<void> {
    await this.prices.changed(product);
  }
}
