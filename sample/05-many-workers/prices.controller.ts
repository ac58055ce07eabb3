import { Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { type Price, PricesService } from './prices.service.js';

@Controller('prices')
export class PricesController {
  constructor(private readonly prices: PricesService) {}

  @Get(':article')
  get(@Param('article') article: string): Promise<Price> {
    return this.prices.priceOf(article);
  }

  @Post(':article/changed')
  @HttpCode(204)
  changed(@Param('article') article: string): Promise<void> {
    return this.prices.changed(article);
  }
}
