import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Inject,
  Injectable,
  Module,
  type BeforeApplicationShutdown,
  type LoggerService,
  type ModuleMetadata,
  type OnModuleDestroy,
} from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CacheManager } from '../../lib/app/cache-app.js';
import { CheckpointService } from '../../lib/checkpoints/checkpoint-service.js';
import { Cached } from '../../lib/decorators/cached.decorator.js';
import { InjectLane } from '../../lib/decorators/inject-lane.decorator.js';
import {
  LaneCacheModule,
  type LaneCacheModuleAsyncOptions,
  type LaneCacheOptionsFactory,
} from '../../lib/module/lane-cache.module.js';
import { getLaneToken, LANE_CACHE } from '../../lib/lanes/policy.js';
import { LaneCacheMetrics } from '../../lib/metrics/lane-cache-metrics.js';
import { DiskTier } from '../../lib/tiers/stored-tier.js';
import { MemoryTier } from '../../lib/tiers/memory-tier.js';
import { PersistentTier } from '../../lib/tiers/persistent-tier.js';

const MEMORY = { directory: false, checkpoints: false } as const;

/** An app that promises the lane 'models', and may keep its word. */
const withModels = (lanes: Readonly<Record<string, object>>) =>
  LaneCacheModule.forRootAsync({ laneNames: ['models'], useFactory: () => ({ ...MEMORY, lanes }) });

const misplaced = () => ({ ...MEMORY, isGlobal: true });

@Injectable()
class Reader {
  constructor(
    @Inject(CacheManager) readonly cache: CacheManager,
    @InjectLane('docs') readonly docs: CacheManager,
  ) {}
}

describe('LaneCacheModule', () => {
  const open: TestingModule[] = [];

  async function boot(metadata: ModuleMetadata): Promise<TestingModule> {
    const app = await Test.createTestingModule(metadata).compile();
    open.push(app);
    return app.init();
  }

  afterEach(async () => {
    await Promise.all(open.splice(0).map((app) => app.close()));
  });

  it('offers the default manager, every lane, the tiers, checkpoints and metrics for injection', async () => {
    const lanes = { models: { extends: 'heavy', ttl: '1h' } } as const;
    const app = await boot({
      imports: [LaneCacheModule.forRoot({ ...MEMORY, lane: 'heavy', lanes })],
      providers: [Reader],
    });
    const { cache, docs } = app.get(Reader);
    expect(cache).toBeInstanceOf(CacheManager);
    expect([cache.lane, docs.lane]).toEqual(['heavy', 'docs']);
    expect(app.get(LANE_CACHE)).toBe(cache);
    expect(cache.forLane('docs')).toBe(docs);
    expect(app.get(getLaneToken('models'))).toBe(cache.forLane('models'));
    expect(app.get(MemoryTier).name).toBe('l1');
    expect(app.get(DiskTier)).toMatchObject({ name: 'l2', state: { state: 'off', reason: 'no-directory' } });
    expect(app.get(PersistentTier)).toMatchObject({ name: 'l3', state: { state: 'off', reason: 'no-directory' } });
    expect(app.get(LaneCacheMetrics).report().lanes).toHaveProperty('models');
    expect(app.get(CheckpointService)).toBe(cache.snapshots);
  });

  it('is set up by the name of a lane alone', () => {
    const { exports: offered, global } = LaneCacheModule.forRoot('docs');
    expect(global).toBe(true);
    expect(offered).toEqual(
      expect.arrayContaining([LANE_CACHE, CacheManager, ...['docs', 'standard', 'heavy'].map(getLaneToken)]),
    );
  });

  it('is seen where it is imported only, if it is not global', async () => {
    @Module({
      imports: [LaneCacheModule.forRoot({ ...MEMORY, isGlobal: false })],
      providers: [Reader],
      exports: [Reader],
    })
    class Inside {}
    @Module({ providers: [Reader] })
    class Outside {}
    const app = await boot({ imports: [Inside] });
    expect(app.get(Reader, { strict: false }).cache.lane).toBe('standard');
    await expect(Test.createTestingModule({ imports: [Inside, Outside] }).compile()).rejects.toThrow("can't resolve");
  });

  describe('set up by forRootAsync', () => {
    @Injectable()
    class Config implements LaneCacheOptionsFactory {
      lane = 'docs';

      createLaneCacheOptions() {
        return { ...MEMORY, lane: this.lane };
      }
    }
    @Module({ providers: [Config], exports: [Config] })
    class ConfigModule {}

    it.each<[string, LaneCacheModuleAsyncOptions]>([
      [
        'useFactory',
        { imports: [ConfigModule], inject: [Config], useFactory: (config: Config) => config.createLaneCacheOptions() },
      ],
      ['useClass', { useClass: Config }],
      ['useExisting', { imports: [ConfigModule], useExisting: Config }],
      [
        'extraProviders',
        {
          extraProviders: [Config],
          inject: [Config],
          useFactory: async (config: Config) => config.createLaneCacheOptions(),
        },
      ],
    ])('takes its settings by %s', async (_, options) => {
      const app = await boot({ imports: [LaneCacheModule.forRootAsync(options)], providers: [Reader] });
      expect(app.get(Reader).cache.lane).toBe('docs');
    });

    it('offers the lanes in laneNames, which the factory must define', async () => {
      const app = await boot({ imports: [withModels({ models: {} })] });
      expect(app.get(getLaneToken('models'))).toMatchObject({ lane: 'models' });
      await expect(boot({ imports: [withModels({})] })).rejects.toMatchObject({ code: 'LANE_UNKNOWN', lane: 'models' });
    });

    it.each([{}, { useClass: Config, useExisting: Config }])('refuses %p at once', (options) => {
      expect(() => LaneCacheModule.forRootAsync(options)).toThrow(expect.objectContaining({ code: 'OPTIONS_INVALID' }));
    });

    it('refuses options from the factory that must stand beside it', async () => {
      await expect(boot({ imports: [LaneCacheModule.forRootAsync({ useFactory: misplaced })] })).rejects.toMatchObject({
        code: 'OPTIONS_INVALID',
        field: 'isGlobal',
        message: expect.stringContaining('beside useFactory'),
      });
    });
  });

  it.each([
    [{ ttl: 5 }, 'ttl', "there is no option 'ttl'. It belongs to a lane"],
    [{ directroy: '/tmp' }, 'directroy', "Did you mean 'directory'?"],
    [{ storage: { deadLine: 5 } }, 'storage.deadLine', "Did you mean 'deadline'?"],
    [{ checkpoints: { retain: 5 } }, 'checkpoints.retain', 'there is no option'],
    [{ checkpoints: { retention: 5 } }, 'checkpoints.retention', 'must be an object'],
    [{ checkpoints: true }, 'checkpoints', 'must be an object'],
    [{ directory: '' }, 'directory', 'must be a path'],
    [{ lane: 7 }, 'lane', 'must be the name of a lane'],
    [{ version: 1 }, 'version', 'must be a text'],
    [{ types: {} }, 'types', 'must be a list'],
    [{ logger: 'none' }, 'logger', 'must be a LoggerService'],
  ])('refuses the settings %p at boot', async (settings: object, field, text) => {
    const imports = [LaneCacheModule.forRoot({ directory: false, ...settings })];
    await expect(boot({ imports })).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      field,
      message: expect.stringContaining(text),
    });
  });

  it.each([
    ['marble', 'LANE_UNKNOWN'],
    ['constructor', 'LANE_UNKNOWN'],
  ])('refuses the default lane %p, which is not defined', async (lane, code) => {
    await expect(boot({ imports: [LaneCacheModule.forRoot({ ...MEMORY, lane })] })).rejects.toMatchObject({
      code,
      lane,
    });
  });

  it('refuses to be set up twice in one app', async () => {
    @Module({ imports: [LaneCacheModule.forRoot({ ...MEMORY, isGlobal: false })] })
    class Feature {}
    const imports = [LaneCacheModule.forRoot(MEMORY), Feature];
    await expect(boot({ imports })).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringContaining('set up twice'),
    });
  });

  it('may be shared by several modules as the same declaration', async () => {
    const shared = LaneCacheModule.forRoot({ ...MEMORY, isGlobal: false });
    @Module({ imports: [shared], providers: [Reader] })
    class Feature {}
    expect((await boot({ imports: [shared, Feature] })).get(LANE_CACHE)).toBeInstanceOf(CacheManager);
  });

  describe('with a directory', () => {
    let directory: string;

    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), 'lane-cache-module-'));
    });

    afterEach(async () => {
      await Promise.all(open.splice(0).map((app) => app.close()));
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    });

    const settings = () => ({ directory, storage: { minFreeBytes: 0 } });

    it('serves what an earlier app has stored, under the same keys', async () => {
      @Injectable()
      class Works {
        calls = 0;

        @Cached({ key: 'work:{0}' })
        async run(id: string): Promise<{ id: string; call: number; at: Date }> {
          return { id, call: ++this.calls, at: new Date(0) };
        }
      }
      const metadata = () => ({ imports: [LaneCacheModule.forRoot(settings())], providers: [Works] });
      const first = await boot(metadata());
      const computed = await first.get(Works).run('a');
      await first.close();
      const second = await boot(metadata());
      expect(await second.get(Works).run('a')).toEqual(computed);
      expect(second.get(Works).calls).toBe(0);
      expect(second.get(CacheManager).getMetrics()).toMatchObject({ requests: 1, l3: { hits: 1 }, misses: 0 });
    });

    it('leaves the directory free when the app does not boot', async () => {
      class Wrong {
        @Cached('marble')
        async load(): Promise<void> {}
      }
      const settled = settings();
      await expect(boot({ imports: [LaneCacheModule.forRoot(settled)], providers: [Wrong] })).rejects.toMatchObject({
        code: 'LANE_UNKNOWN',
      });
      open.splice(0);
      const app = await boot({ imports: [LaneCacheModule.forRoot(settled)] });
      expect(app.get(PersistentTier).state).toEqual({ state: 'on' });
    });
  });

  describe('when the app closes', () => {
    it('still answers in the hooks of the app, and not after them', async () => {
      const heard: unknown[] = [];
      @Injectable()
      class Service implements OnModuleDestroy, BeforeApplicationShutdown {
        constructor(@Inject(CacheManager) private readonly cache: CacheManager) {}

        async onModuleDestroy(): Promise<void> {
          heard.push(await this.cache.set('last', 'words'));
        }

        async beforeApplicationShutdown(): Promise<void> {
          heard.push(await this.cache.get('last'));
        }
      }
      const app = await boot({ imports: [LaneCacheModule.forRoot(MEMORY)], providers: [Service] });
      const cache = app.get(CacheManager);
      await app.close();
      expect(heard).toEqual([true, 'words']);
      expect(await cache.get('last')).toBeUndefined();
      expect(await cache.set('later', 1)).toBe(false);
      expect(await cache.getOrSet('later', () => 'computed')).toBe('computed');
    });

    it('leaves decorated methods running, uncached', async () => {
      @Injectable()
      class Counter {
        calls = 0;

        @Cached()
        async next(): Promise<number> {
          return ++this.calls;
        }
      }
      const app = await boot({ imports: [LaneCacheModule.forRoot(MEMORY)], providers: [Counter] });
      const counter = app.get(Counter);
      expect([await counter.next(), await counter.next()]).toEqual([1, 1]);
      await app.close();
      expect([await counter.next(), await counter.next()]).toEqual([2, 3]);
    });
  });

  it('speaks through the logger it is given, else through that of Nest', async () => {
    const texts: unknown[] = [];
    const say = (text: unknown) => void texts.push(text);
    const logger: LoggerService = { log: say, warn: say, error: say };
    class Docs {
      @Cached({ key: 'all' })
      async load(_id: string): Promise<void> {}
    }
    const about = () => texts.filter((text) => String(text).includes('@Cached on Docs.load'));
    await boot({ imports: [LaneCacheModule.forRoot({ ...MEMORY, logger })], providers: [Docs] });
    expect(about()).toHaveLength(1);

    const app = Test.createTestingModule({ imports: [LaneCacheModule.forRoot(MEMORY)], providers: [Docs] });
    const compiled = await app.setLogger(logger).compile();
    open.push(compiled);
    await compiled.init();
    expect(about()).toHaveLength(2);

    await boot({ imports: [LaneCacheModule.forRoot({ ...MEMORY, logger: false })], providers: [Docs] });
    expect(about()).toHaveLength(2);
  });
});
