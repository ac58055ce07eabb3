import { CacheModule } from '@nestjs/cache-manager';
import { Module } from '@nestjs/common';
import { Supplier } from '../supplier.js';
import { PricesController } from './prices.controller.js';
import { PricesService } from './prices.service.js';

@Module({
  imports: [CacheModule.register({ isGlobal: true, ttl: 60_000 })],
  controllers: [PricesController],
  providers: [PricesService, Supplier],
})
export class AppModule {}
