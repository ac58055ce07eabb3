import { Module } from '@nestjs/common';
import { LaneCacheModule } from 'nestjs-lane-cache';
import { Supplier } from '../supplier.js';
import { PricesController } from './prices.controller.js';
import { PricesService } from './prices.service.js';

@Module({
  imports: [LaneCacheModule.forRoot({ lanes: { standard: { ttl: '60s' } }, provideCacheManager: true })],
  controllers: [PricesController],
  providers: [PricesService, Supplier],
})
export class AppModule {}
