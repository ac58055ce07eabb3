import { afterEach, describe, expect, it } from '@jest/globals';
import { Cache, CACHE_MANAGER, CacheInterceptor, CacheKey, CacheModule, CacheTTL } from '@nestjs/cache-manager';
import {
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  Post,
  UseInterceptors,
  type ExecutionContext,
  type INestApplication,
  type ModuleMetadata,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CacheManager, LaneCacheModule, type LaneCacheModuleOptions } from '../../lib/index.js';
import { laneKeyvStore } from '../../lib/keyv/lane-keyv-store.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { Gate } from '../support/gate.js';

const MEMORY = { directory: false, checkpoints: false, provideCacheManager: true } as const;

const docsInMemory = () => ({ directory: false, checkpoints: false, lane: 'docs' }) as const;

@Injectable()
class Shelf {
  constructor(@Inject(CACHE_MANAGER) readonly cache: Cache) {}
}

@Injectable()
class ByClass {
  constructor(readonly cache: Cache) {}
}

@Controller('cats')
class CatsController {
  calls = 0;

  @Get()
  @UseInterceptors(CacheInterceptor)
  findAll(): object {
    return { call: ++this.calls };
  }

  @Get('named')
  @UseInterceptors(CacheInterceptor)
  @CacheKey('all-cats')
  @CacheTTL(2_000)
  named(): object {
    return { call: ++this.calls };
  }

  @Post()
  @UseInterceptors(CacheInterceptor)
  create(): object {
    return { call: ++this.calls };
  }
}

const open: INestApplication[] = [];

async function boot(metadata: ModuleMetadata, platform: 'express' | 'fastify' = 'express'): Promise<INestApplication> {
  const compiled = await Test.createTestingModule(metadata).compile();
  const app =
    platform === 'express' ? compiled.createNestApplication() : compiled.createNestApplication(new FastifyAdapter());
  open.push(app);
  await app.listen(0, '127.0.0.1');
  return app;
}

async function shelf(options: Partial<LaneCacheModuleOptions> = {}): Promise<{ cache: Cache; lane: CacheManager }> {
  const app = await boot({ imports: [LaneCacheModule.forRoot({ ...MEMORY, ...options })], providers: [Shelf] });
  return { cache: app.get(Shelf).cache, lane: app.get(CacheManager) };
}

const read = async (app: INestApplication, path: string, init?: RequestInit): Promise<unknown> =>
  (await fetch(`${await app.getUrl()}${path}`, init)).json();

afterEach(async () => {
  await Promise.all(open.splice(0).map((app) => app.close()));
});

describe('CACHE_MANAGER over a lane', () => {
  it('is injected by token and by class', async () => {
    const app = await boot({ imports: [LaneCacheModule.forRoot(MEMORY)], providers: [Shelf, ByClass] });
    expect(app.get(Shelf).cache).toBe(app.get(ByClass).cache);
    expect(app.get(CacheManager).lane).toBe('standard');
  });

  it.each([true, false])('is provided with the rest of the module, global: %p', async (isGlobal) => {
    @Injectable()
    class Both {
      constructor(
        @Inject(CACHE_MANAGER) readonly cache: Cache,
        @Inject(CacheManager) readonly lane: CacheManager,
      ) {}
    }
    @Module({ imports: [LaneCacheModule.forRoot({ ...MEMORY, isGlobal })], providers: [Both], exports: [Both] })
    class Feature {}
    const app = await boot({ imports: [Feature] });
    const { cache, lane } = app.get(Both, { strict: false });
    await cache.set('a', 1);
    expect(await cache.get('a')).toBe(1);
    expect(lane.getMetrics().l1.entries).toBe(1);
  });

  it('is configured by a factory', async () => {
    const imports = [LaneCacheModule.forRootAsync({ useFactory: docsInMemory, provideCacheManager: true })];
    const app = await boot({ imports, providers: [Shelf] });
    await app.get(Shelf).cache.set('a', 1);
    expect(app.get(CacheManager).forLane('docs').getMetrics().l1.entries).toBe(1);
  });

  it('is not provided unless it is configured', async () => {
    const imports = [LaneCacheModule.forRoot({ ...MEMORY, provideCacheManager: false })];
    await expect(boot({ imports, providers: [Shelf] })).rejects.toThrow("can't resolve");
  });

  it.each([[{ ttl: 30 }], ['30s'], ['30'], [Number.NaN], [[30]], [true]])(
    'rejects %p as a ttl, and keeps what it holds',
    async (ttl) => {
      const { cache } = await shelf();
      await cache.set('k', 'before');
      const rejection = { code: 'TTL_INVALID', message: expect.stringContaining('MILLISECONDS, such as 30_000') };
      await expect(cache.set('k', 'after', ttl as never)).rejects.toMatchObject(rejection);
      await expect(cache.mset([{ key: 'k', value: 'after', ttl: ttl as never }])).rejects.toMatchObject(rejection);
      expect(await cache.get('k')).toBe('before');
    },
  );

  it('is reached by the patterns of the lane, with the keys that the app knows', async () => {
    const { cache, lane } = await shelf({ lanes: { standard: { exclude: ['private:*'] } } });
    await lane.set('page:own', 0);
    await cache.set('page:1', 1);
    await cache.set('other', 2);
    await cache.set('private:1', 3);
    expect(await cache.get('private:1')).toBeUndefined();
    const listed: string[] = [];
    for await (const { key } of lane.entries('page:?')) listed.push(key);
    expect(listed).toEqual(['keyv:cache-manager:page:1']);
    expect(await lane.invalidateByPattern('page:*')).toBe(2);
    expect(await cache.mget(['page:1', 'other'])).toEqual([undefined, 2]);
  });

  it('gets, sets, deletes and clears', async () => {
    const { cache } = await shelf();
    expect(await cache.get('key')).toBeUndefined();
    expect(await cache.set('key', 'value')).toBe('value');
    expect(await cache.get('key')).toBe('value');
    await cache.del('key');
    expect(await cache.get('key')).toBeUndefined();
    await cache.mset([
      { key: 'a', value: 1 },
      { key: 'b', value: null },
    ]);
    expect(await cache.mget(['a', 'b', 'c'])).toEqual([1, null, undefined]);
    await cache.mdel(['a']);
    expect(await cache.mget(['a', 'b'])).toEqual([undefined, null]);
    await cache.clear();
    expect(await cache.get('b')).toBeUndefined();
  });

  it('clears its own entries only', async () => {
    const { cache, lane } = await shelf();
    await lane.set('key', 'own');
    await cache.set('key', 'other');
    await cache.clear();
    expect([await lane.get('key'), await cache.get('key')]).toEqual(['own', undefined]);
  });

  it("takes ttls in milliseconds, the lane's if there is none, and 0 as none at all", async () => {
    const clock = new FakeClock();
    const { cache } = await shelf({ clock, lanes: { standard: { ttl: '10s' } } });
    await cache.set('short', 1, 1_000);
    await cache.set('lane', 1);
    await cache.set('endless', 1, 0);
    await cache.mset([{ key: 'endless too', value: 1, ttl: 0 }]);
    await clock.advance('999ms');
    expect(await cache.get('short')).toBe(1);
    await clock.advance('1ms');
    expect([await cache.get('short'), await cache.get('lane')]).toEqual([undefined, 1]);
    await clock.advance('9s');
    expect(await cache.get('lane')).toBeUndefined();
    await clock.advance('1d');
    expect(await cache.mget(['endless', 'endless too'])).toEqual([1, 1]);
  });

  it('reports when an entry expires', async () => {
    const { cache } = await shelf();
    const before = Date.now();
    await cache.set('a', 1, 60_000);
    await cache.wrap('b', () => 1, 60_000);
    for (const key of ['a', 'b']) {
      expect(await cache.ttl(key)).toBeGreaterThanOrEqual(before + 60_000);
      expect(await cache.ttl(key)).toBeLessThanOrEqual(Date.now() + 60_000);
    }
  });

  it('returns values of their own type, as copies', async () => {
    const { cache } = await shelf();
    const value = { at: new Date(5), names: new Set(['a']) };
    await cache.set('value', value);
    const first = await cache.get<{ at: Date; names: Set<string> }>('value');
    expect(first).toEqual(value);
    first?.names.add('b');
    expect(await cache.get('value')).toEqual(value);
    const wrapped = await cache.wrap('wrapped', () => ({ list: [1] }));
    wrapped.list.push(2);
    expect(await cache.wrap('wrapped', () => ({ list: [] }))).toEqual({ list: [1] });
  });

  it('notifies its listeners', async () => {
    const { cache } = await shelf();
    const heard: unknown[] = [];
    cache.on('set', ({ key, value }) => heard.push(['set', key, value]));
    cache.on('del', ({ key }) => heard.push(['del', key]));
    cache.on('clear', () => heard.push(['clear']));
    await cache.set('a', 1);
    await cache.del('a');
    await cache.clear();
    expect(heard).toEqual([['set', 'a', 1], ['set', 'a', 1], ['del', 'a'], ['clear']]);
  });

  it('keeps its entries across a restart', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'lane-cache-manager-'));
    try {
      const options = { provideCacheManager: true, directory, storage: { minFreeBytes: 0 } };
      const first = await boot({ imports: [LaneCacheModule.forRoot(options)], providers: [Shelf] });
      await first.get(Shelf).cache.set('kept', { at: new Date(7) });
      await first.close();
      const second = await boot({ imports: [LaneCacheModule.forRoot(options)], providers: [Shelf] });
      expect(await second.get(Shelf).cache.get('kept')).toEqual({ at: new Date(7) });
    } finally {
      await Promise.all(open.splice(0).map((app) => app.close()));
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    }
  });

  describe('wrap', () => {
    it('computes once for concurrent callers', async () => {
      const { cache } = await shelf();
      let calls = 0;
      const ask = () => cache.wrap('a', async () => ++calls, 5_000);
      expect(await Promise.all(Array.from({ length: 20 }, ask))).toEqual(Array.from({ length: 20 }, () => 1));
      expect(await cache.get('a')).toBe(1);
    });

    it.each<[string, (cache: Cache) => Promise<unknown>]>([
      ['deleted', (cache) => cache.del('a')],
      ['cleared', (cache) => cache.clear()],
      ['set', (cache) => cache.set('a', 'newer')],
    ])('stores nothing of a computation during which the key is %s', async (_, overtake) => {
      const { cache } = await shelf();
      const [started, mayFinish] = [new Gate(), new Gate()];
      const pending = cache.wrap('a', async () => {
        started.open();
        await mayFinish.whenOpen;
        return 'older';
      });
      await started.whenOpen;
      await overtake(cache);
      mayFinish.open();
      await pending;
      expect(await cache.get('a')).not.toBe('older');
    });

    it('passes errors on by identity and stores none', async () => {
      const { cache } = await shelf();
      const error = new Error('no');
      await expect(cache.wrap('a', () => Promise.reject(error))).rejects.toBe(error);
      expect(await cache.wrap('a', () => 'now')).toBe('now');
    });

    it('caches null, and not undefined', async () => {
      const { cache } = await shelf();
      let calls = 0;
      const nothing = () => cache.wrap<unknown>('null', () => (calls++, null));
      const none = () => cache.wrap<unknown>('undefined', () => (calls++, undefined));
      expect([await nothing(), await nothing(), calls]).toEqual([null, null, 1]);
      expect([await none(), await none(), calls]).toEqual([undefined, undefined, 3]);
    });

    it('accepts a ttl made from the value', async () => {
      const clock = new FakeClock();
      const { cache } = await shelf({ clock });
      await cache.wrap('a', () => 3, { ttl: (value) => value * 1_000 });
      await clock.advance('2999ms');
      expect(await cache.get('a')).toBe(3);
      await clock.advance('1ms');
      expect(await cache.get('a')).toBeUndefined();
    });

    it('returns a value with a negative ttl, and does not store it', async () => {
      const { cache } = await shelf();
      expect(
        await cache.wrap(
          'a',
          () => 3,
          () => -1,
        ),
      ).toBe(3);
      expect(await cache.get('a')).toBeUndefined();
    });

    it('renews entries in the background before they expire', async () => {
      const { cache } = await shelf();
      const renewed = new Promise<unknown>((resolve) => cache.on('refresh', resolve));
      let calls = 0;
      const ask = () => cache.wrap('a', () => ++calls, 60_000, 90_000);
      expect([await ask(), await renewed]).toEqual([1, { key: 'a', value: 2 }]);
      expect(await cache.get('a')).toBe(2);
    });

    it('reports the failure of a renewal once, however many callers find the entry due', async () => {
      const { cache } = await shelf();
      const events: unknown[] = [];
      cache.on('refresh', (event) => events.push(event));
      const failed = new Promise((resolve) => cache.on('refresh', resolve));
      let calls = 0;
      const source = new Error('the source is down');
      const ask = () =>
        cache.wrap(
          'a',
          async () => {
            if (++calls > 1) throw source;
            return 1;
          },
          60_000,
          90_000,
        );
      expect(await Promise.all([ask(), ask(), ask(), ask()])).toEqual([1, 1, 1, 1]);
      await failed;
      await new Promise((resolve) => setImmediate(resolve));
      expect(events).toEqual([{ key: 'a', value: 1, error: source }]);
      expect(calls).toBe(2);
    });

    it('returns the raw entry on request', async () => {
      const { cache } = await shelf();
      const raw = await cache.wrap('a', () => 'v', { ttl: 60_000, raw: true });
      expect(raw).toEqual({ value: 'v', expires: expect.any(Number) });
    });
  });
});

describe.each(['express', 'fastify'] as const)("Nest's own interceptor over a lane, on %s", (platform) => {
  it('caches GET by its URL', async () => {
    const app = await boot({ imports: [LaneCacheModule.forRoot(MEMORY)], controllers: [CatsController] }, platform);
    expect([await read(app, '/cats'), await read(app, '/cats')]).toEqual([{ call: 1 }, { call: 1 }]);
    expect(await read(app, '/cats?page=2')).toEqual({ call: 2 });
    expect(await read(app, '/cats', { method: 'POST' })).toEqual({ call: 3 });
    expect(await read(app, '/cats', { method: 'POST' })).toEqual({ call: 4 });
  });

  it('follows @CacheKey and @CacheTTL', async () => {
    const clock = new FakeClock();
    const imports = [LaneCacheModule.forRoot({ ...MEMORY, clock })];
    const app = await boot({ imports, controllers: [CatsController] }, platform);
    expect([await read(app, '/cats/named'), await read(app, '/cats/named?x')]).toEqual([{ call: 1 }, { call: 1 }]);
    expect(await app.get<Cache>(CACHE_MANAGER).get('all-cats')).toEqual({ call: 1 });
    await clock.advance('2s');
    expect(await read(app, '/cats/named')).toEqual({ call: 2 });
  });

  it('may be bound to the whole app, and extended', async () => {
    @Injectable()
    class ByHeader extends CacheInterceptor {
      override trackBy(context: ExecutionContext): string {
        return String(context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers['x-tenant']);
      }
    }
    @Controller()
    class Tenant {
      calls = 0;

      @Get()
      who(): object {
        return { call: ++this.calls };
      }
    }
    const providers = [{ provide: APP_INTERCEPTOR, useClass: ByHeader }];
    const app = await boot({ imports: [LaneCacheModule.forRoot(MEMORY)], controllers: [Tenant], providers }, platform);
    const ask = (tenant: string) => read(app, '/', { headers: { 'x-tenant': tenant } });
    expect([await ask('a'), await ask('b'), await ask('a')]).toEqual([{ call: 1 }, { call: 2 }, { call: 1 }]);
  });
});

describe("Nest's own CacheModule over a lane", () => {
  it('uses the lane as a store', async () => {
    const cache = await CacheManager.fromSettings({ directory: false });
    const imports = [CacheModule.register({ stores: [laneKeyvStore(cache)], ttl: 5_000, isGlobal: true })];
    const app = await boot({ imports, providers: [Shelf] });
    await app.get(Shelf).cache.set('a', { b: 1 });
    expect(await app.get(Shelf).cache.get('a')).toEqual({ b: 1 });
    expect(cache.getMetrics().l1.entries).toBe(1);
    await app.close();
    expect(await cache.set('still open', 1)).toBe(true);
    await cache.close();
  });

  it('uses the lane of the app as a store', async () => {
    const imports = [
      LaneCacheModule.forRoot({ directory: false, checkpoints: false }),
      CacheModule.registerAsync({
        inject: [CacheManager],
        useFactory: (cache: CacheManager) => ({ stores: [laneKeyvStore(cache, { namespace: 'web' })] }),
      }),
    ];
    const app = await boot({ imports, controllers: [CatsController] });
    expect([await read(app, '/cats'), await read(app, '/cats')]).toEqual([{ call: 1 }, { call: 1 }]);
    expect(app.get(CacheManager).getMetrics().l1.hits).toBe(1);
  });
});
