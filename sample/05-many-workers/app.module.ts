import { type DynamicModule, Module } from '@nestjs/common';
import { LaneCacheModule } from 'nestjs-lane-cache';
import { PricesController } from './prices.controller.js';
import { PricesService, SUPPLIER_URL } from './prices.service.js';

@Module({ controllers: [PricesController] })
export class AppModule {
  /** The app over a directory that all its workers share. */
  static over(directory: string, supplierUrl: string): DynamicModule {
    return {
      module: AppModule,
      imports: [LaneCacheModule.forRoot({ directory, lanes: { standard: { ttl: '10m' } } })],
      providers: [PricesService, { provide: SUPPLIER_URL, useValue: supplierUrl }],
    };
  }
}
