import type { DynamicModule } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { LaneCacheHealthIndicator } from '../../lib/health/index.js';
import {
  Cached,
  CacheInvalidate,
  CacheManager,
  CachePut,
  CacheResponse,
  CacheType,
  Checkpointed,
  CheckpointService,
  defineLane,
  laneKeyvStore,
  LaneCacheModule,
  measureCachePerformance,
  type AsyncMethodDecorator,
} from '../../lib/index.js';
import { chaosTier, LaneCacheTestingModule } from '../../lib/testing/index.js';
import { MemoryTier } from '../../lib/tiers/memory-tier.js';

/** An app with an entry and a checkpoint, and an eye on what happens to them. */
export class WatchedApp {
  readonly happened: string[] = [];

  private constructor(
    private readonly module: TestingModule,
    readonly cache: CacheManager,
    readonly checkpoints: CheckpointService,
  ) {}

  static async open(): Promise<WatchedApp> {
    const module = await Test.createTestingModule({
      imports: [LaneCacheTestingModule.forRoot()],
      providers: [LaneCacheHealthIndicator],
    }).compile();
    const app = new WatchedApp(module, module.get(CacheManager), module.get(CheckpointService));
    await app.cache.set('kept', 1, { tags: ['kept'] });
    await app.checkpoints.cacheCheckpoint('kept', { step: 1 }, { workflow: 'kept' });
    await app.checkpoints.cacheCheckpoint('kept', { step: 2 }, { workflow: 'kept' });
    for (const name of ['store', 'compute', 'invalidate', 'evict', 'checkpoint', 'cleanup', 'sweep', 'hit'] as const) {
      app.cache.events.on(name, () => app.happened.push(name));
    }
    return app;
  }

  get health(): LaneCacheHealthIndicator {
    return this.module.get(LaneCacheHealthIndicator);
  }

  get tier(): MemoryTier {
    return this.module.get(MemoryTier);
  }

  readonly compute = (): number => {
    this.happened.push('computed');
    return 2;
  };

  close(): Promise<void> {
    return this.module.close();
  }
}

/** How a bag is handed in. */
export interface OptionCall {
  readonly call: (app: WatchedApp, given: never) => unknown;
  /** What else has to be in a bag, by the way to it, when `name` of it is tried. */
  readonly around?: Readonly<Record<string, (name: string) => object>>;
}

class Money {
  readonly cents = 1;
}

async function boot(module: DynamicModule): Promise<void> {
  const testing = Test.createTestingModule({ imports: [module] });
  await (await testing.compile()).close();
}

function declare(decorator: AsyncMethodDecorator): void {
  class Docs {
    async render(): Promise<number> {
      return 1;
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Docs.prototype, 'render');
  if (descriptor !== undefined) decorator(Docs.prototype, 'render', descriptor);
}

const settings = (way: string): Readonly<Record<string, (name: string) => object>> => ({
  [way]: () => ({ directory: false }),
  [`${way}.types[]`]: () => ({ type: Money }),
  [`${way}.distributed`]: (name) => (name === 'client' ? {} : { url: 'redis://127.0.0.1:1' }),
});

/** By the label of the call: how each bag of options of the public types is handed in. */
export const OPTION_CALLS: Readonly<Record<string, OptionCall>> = {
  'CacheManager.fromSettings': {
    call: async (_, given) => (await CacheManager.fromSettings(given)).close(),
    around: settings(''),
  },
  'CacheManager.getOrSet': { call: ({ cache, compute }, given) => cache.getOrSet('new', compute, given) },
  'CacheManager.get': { call: ({ cache }, given) => cache.get('kept', given) },
  'CacheManager.set': { call: ({ cache }, given) => cache.set('new', 1, given) },
  'CacheManager.getMany': { call: ({ cache }, given) => cache.getMany(['kept'], given) },
  'CacheManager.setMany': { call: ({ cache }, given) => cache.setMany([['new', 1]], given) },
  'CacheManager.getOrSetMany': {
    call: ({ cache, compute }, given) => cache.getOrSetMany(['new'], () => new Map([['new', compute()]]), given),
  },
  'CacheManager.warm': { call: ({ cache, compute }, given) => cache.warm(['new'], compute, given) },
  'CacheManager.clearAll': { call: ({ cache }, given) => cache.clearAll(given) },
  'LaneCacheEvents.once': { call: ({ cache }, given) => cache.events.once('quarantine', given) },
  'CheckpointService.cacheCheckpoint': {
    call: ({ checkpoints }, given) => checkpoints.cacheCheckpoint('new', 1, given),
  },
  'CheckpointService.restoreCheckpoint': {
    call: ({ checkpoints }, given) => checkpoints.restoreCheckpoint('kept', given),
  },
  'CheckpointService.getCheckpoint': {
    call: ({ checkpoints }, given) => checkpoints.getCheckpoint('kept', given),
  },
  'CheckpointService.fork': { call: ({ checkpoints }, given) => checkpoints.fork('kept', 'forked', given) },
  'CheckpointService.runStep': { call: ({ checkpoints }, given) => checkpoints.runStep('new', () => 1, given) },
  'CheckpointService.history': { call: ({ checkpoints }, given) => checkpoints.history('kept', given) },
  'CheckpointService.list': { call: ({ checkpoints }, given) => checkpoints.list(given) },
  'CheckpointService.iterate': { call: ({ checkpoints }, given) => checkpoints.iterate(given).next() },
  'CheckpointService.cleanupOldCheckpoints': {
    call: ({ checkpoints }, given) => checkpoints.cleanupOldCheckpoints(given),
  },
  'LaneCacheModule.forRoot': {
    call: (_, given) => boot(LaneCacheModule.forRoot(given)),
    around: settings(''),
  },
  'LaneCacheModule.forRootAsync': {
    call: (_, given) => boot(LaneCacheModule.forRootAsync(given)),
    around: {
      ...settings('.useFactory()'),
      '': (name) => (name.startsWith('use') ? {} : { useFactory: () => ({ directory: false }) }),
    },
  },
  'LaneCacheTestingModule.forRoot': {
    call: (_, given) => boot(LaneCacheTestingModule.forRoot(given)),
    around: { '.types[]': () => ({ type: Money }) },
  },
  Cached: { call: (_, given) => declare(Cached(given)), around: { '.warm': () => ({ args: () => [] }) } },
  CachePut: { call: (_, given) => declare(CachePut(given)), around: { '': () => ({ key: 'key' }) } },
  CacheInvalidate: {
    call: (_, given) => declare(CacheInvalidate(given)),
    around: { '': () => ({ key: 'key' }) },
  },
  Checkpointed: {
    call: (_, given) => declare(Checkpointed(given)),
    around: { '': () => ({ id: () => 'id' }) },
  },
  CacheType: { call: (_, given) => CacheType(given)(Money) },
  CacheResponse: { call: (_, given) => CacheResponse(given)(Money) },
  defineLane: { call: (_, given) => defineLane(given) },
  measureCachePerformance: { call: ({ cache }, given) => measureCachePerformance(cache, given) },
  laneKeyvStore: { call: ({ cache }, given) => laneKeyvStore(cache, given) },
  'LaneKeyvStore.setMany': {
    call: ({ cache }, given) => laneKeyvStore(cache).setMany(given),
    around: { '[]': () => ({ key: 'new', value: 1 }) },
  },
  'LaneCacheHealthIndicator.isHealthy': { call: ({ health }, given) => health.isHealthy('cache', given) },
  chaosTier: { call: ({ tier }, given) => chaosTier(tier, given) },
  'result.setPlan': { call: ({ tier }, given) => chaosTier(tier, {}).setPlan(given) },
};

/** Bags that no user of the library fills, with the reason. */
export const NOT_FILLED_BY_USERS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      'DiskTier.write',
      'DiskTier.offer',
      'DistributedTier.write',
      'DistributedTier.offer',
      'MemoryTier.write',
      'Tier.write',
    ].map((call) => [call, 'the library makes records']),
  ),
  ...Object.fromEntries(
    ['DiskTier.open', 'DiskTier.unattached', 'PersistentTier.open', 'PersistentTier.unattached'].map((call) => [
      call,
      'the library opens its tiers',
    ]),
  ),
  'RedisPort.command': 'the library calls the port',
};
