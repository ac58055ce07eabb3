import { Module, type DynamicModule } from '@nestjs/common';
import { LaneCacheModule } from '../lane-cache.module.js';
import type { LaneCacheModuleOptions } from '../lane-cache.module-options.js';
import type { LaneName } from '../lanes/policy.js';
import { FakeClock } from './fake-clock.js';

/** Settings of the app under test; where its cache lies is not for it to say. */
export type LaneCacheTestingOptions = Omit<LaneCacheModuleOptions, 'directory' | 'distributed'>;

/**
 * Stands in for `LaneCacheModule` in tests: everything is in memory, and time stands still until a test moves it
 * (`moduleRef.get(FakeClock).advance('10m')`). `clock` brings another clock.
 */
@Module({})
export class LaneCacheTestingModule {
  static forRoot(settings: LaneName | LaneCacheTestingOptions = {}): DynamicModule {
    const options: LaneCacheTestingOptions = typeof settings === 'string' ? { lane: settings } : settings;
    const clock = options.clock ?? new FakeClock();
    return {
      module: LaneCacheTestingModule,
      global: options.isGlobal ?? true,
      imports: [LaneCacheModule.forRoot({ ...options, directory: false, clock })],
      providers: [{ provide: FakeClock, useValue: clock }],
      exports: [FakeClock, LaneCacheModule],
    };
  }
}
