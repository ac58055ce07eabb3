import { type DynamicModule, Module } from '@nestjs/common';
import { defineLane, LaneCacheModule } from 'nestjs-lane-cache';
import { PricesService } from './prices.service.js';

@Module({ providers: [PricesService] })
export class AppModule {
  /** The app over the Redis at `url`. */
  static sharing(url: string): DynamicModule {
    const prices = defineLane({ extends: 'standard', ttl: '10m', l4: { coalesce: 'cluster' } });
    return {
      module: AppModule,
      imports: [LaneCacheModule.forRoot({ directory: false, lanes: { prices }, distributed: { url } })],
    };
  }
}
