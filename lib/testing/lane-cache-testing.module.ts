import { Module, type DynamicModule, type Provider } from '@nestjs/common';
import { LocalCheckpointStore } from '../checkpoints/local/local-checkpoint-store.js';
import { ReadFaults } from '../checkpoints/local/checkpoint-tables.js';
import type { MakeCheckpoints } from '../app/disk-port.js';
import { ofLanes } from '../app/options.js';
import { LaneCacheModule, moduleKinds, type LaneCacheModuleOptions } from '../module/lane-cache.module.js';
import { defineOptions } from '../options/options-shape.js';
import { LANE_CACHE_CHECKPOINTS } from '../module/lane-cache.tokens.js';
import type { LaneName } from '../lanes/policy.js';
import { FakeClock } from './fake-clock.js';
import { MemoryEnvironment, MemoryTable } from './memory-environment.js';

/** Settings of the app under test, without those of its directory. */
export type LaneCacheTestingOptions = Omit<LaneCacheModuleOptions, 'directory' | 'distributed'>;

const IN_MEMORY = 'Here everything is in memory.';

/** `directory` and `distributed` are the module's own; the rest is read by the module that it stands in for. */
const { directory: _directory, distributed: _distributed, ...kinds } = moduleKinds;
const TESTING_OPTIONS = defineOptions<LaneCacheTestingOptions>('LaneCacheTestingModule', kinds, {
  elsewhere: { ...ofLanes, directory: IN_MEMORY, distributed: IN_MEMORY },
});

/**
 * Replaces `LaneCacheModule` in tests: everything is in memory, checkpoints too, and time moves only when the test moves it
 * (`moduleRef.get(FakeClock).advance('10m')`). `clock` replaces the clock.
 *
 * @example
 * ```ts
 * const app = await Test.createTestingModule({ imports: [LaneCacheTestingModule.forRoot()] }).compile();
 * await app.init();
 * await app.get(FakeClock).advance('10m');
 * ```
 */
@Module({})
export class LaneCacheTestingModule {
  /** Takes the settings of `LaneCacheModule.forRoot`, except `directory` and `distributed`. */
  static forRoot(settings?: LaneName | LaneCacheTestingOptions): DynamicModule {
    try {
      return inTests(TESTING_OPTIONS.read(typeof settings === 'string' ? { lane: settings } : settings));
    } catch (error) {
      // as in the module that this stands in for: what is wrong with the options fails at boot
      return LaneCacheModule.forRootAsync({ useFactory: () => Promise.reject(error) });
    }
  }
}

function inTests(options: LaneCacheTestingOptions): DynamicModule {
  const clock = options.clock ?? new FakeClock();
  const extraProviders = [...(options.extraProviders ?? []), CHECKPOINTS_IN_MEMORY];
  const cache = LaneCacheModule.forRoot({ ...options, directory: false, clock, extraProviders });
  return {
    module: LaneCacheTestingModule,
    global: options.isGlobal ?? true,
    imports: [cache],
    providers: [{ provide: FakeClock, useValue: clock }],
    exports: [FakeClock, cache.module],
  };
}

const inMemory: MakeCheckpoints = ({ clock, events }) =>
  new LocalCheckpointStore(new MemoryEnvironment((name) => new MemoryTable(name)), {
    clock,
    events,
    faults: new ReadFaults(),
  });

const CHECKPOINTS_IN_MEMORY: Provider = { provide: LANE_CACHE_CHECKPOINTS, useValue: inMemory };
