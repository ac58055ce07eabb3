import { describe, expect, it, jest } from '@jest/globals';
import { Inject, Injectable } from '@nestjs/common';
import { Test, type TestingModuleBuilder } from '@nestjs/testing';
import {
  Cached,
  CacheInvalidate,
  CacheManager,
  CachePut,
  Checkpointed,
  getLaneToken,
  InjectLane,
  LANE_CACHE,
  LaneCacheModule,
} from '../../lib/index.js';

@Injectable()
class Prices {
  runs = 0;

  constructor(
    @Inject(CacheManager) readonly cache: CacheManager,
    @InjectLane('docs') readonly docs: CacheManager,
  ) {}

  @Cached({ key: 'price:{0}', lane: 'docs', tags: ['prices'] })
  async of(product: string): Promise<string> {
    this.runs++;
    return `computed ${product}`;
  }

  @CachePut({ key: 'price:{0}' })
  async put(_product: string, price: string): Promise<string> {
    return price;
  }

  @CachePut({ key: 'price:{0}', condition: () => false })
  async putNothing(_product: string, price: string): Promise<string> {
    return price;
  }

  @CacheInvalidate({ key: 'price:{0}', tags: ['prices'] })
  async changed(_product: string): Promise<string> {
    return 'changed';
  }

  @Checkpointed({ id: 'job:{0}' })
  async work(job: string): Promise<string> {
    return `worked ${job}`;
  }

  @Cached({ key: 'draft:{0}', unless: () => true })
  async draft(id: string): Promise<string> {
    return `draft ${id}`;
  }
}

async function booted(override: (builder: TestingModuleBuilder) => TestingModuleBuilder) {
  const builder = Test.createTestingModule({
    imports: [LaneCacheModule.forRoot({ directory: false, provideCacheManager: true })],
    providers: [Prices],
  });
  const app = await override(builder).compile();
  await app.init();
  return { app, prices: app.get(Prices) };
}

const answering = () => ({ getOrSet: jest.fn(async (key: string, _compute: unknown) => `answered ${key}`) });

class Answering {
  readonly #answer = 'answered';

  getOrSet(key: string): string {
    return `${this.#answer} ${key}`;
  }
}

describe('a CacheManager that a test overrides', () => {
  it.each([
    ['useValue', (builder: TestingModuleBuilder) => builder.overrideProvider(CacheManager).useValue(answering())],
    [
      'useFactory',
      (builder: TestingModuleBuilder) => builder.overrideProvider(CacheManager).useFactory({ factory: answering }),
    ],
    ['useClass', (builder: TestingModuleBuilder) => builder.overrideProvider(CacheManager).useClass(Answering)],
    [
      'useValue of LANE_CACHE',
      (builder: TestingModuleBuilder) => builder.overrideProvider(LANE_CACHE).useValue(answering()),
    ],
  ])('by %s answers decorated methods', async (_, override) => {
    const { app, prices } = await booted(override);
    expect(await prices.of('tea')).toBe('answered price:tea');
    expect(prices.runs).toBe(0);
    await app.close();
  });

  it('is what is injected, also for a lane', async () => {
    const mock = answering();
    const { app, prices } = await booted((builder) => builder.overrideProvider(CacheManager).useValue(mock));
    expect(prices.cache).toBe(mock);
    expect(prices.docs).toBe(mock);
    expect(app.get(CacheManager)).toBe(mock);
    await prices.of('tea');
    expect(mock.getOrSet.mock.calls[0]?.[0]).toBe('price:tea');
    await app.close();
  });

  it('is asked for its own lanes', async () => {
    const docs = answering();
    const mock = { forLane: jest.fn((_lane: string) => docs) };
    const { app, prices } = await booted((builder) => builder.overrideProvider(CacheManager).useValue(mock));
    expect(prices.docs).toBe(docs);
    expect(await prices.of('tea')).toBe('answered price:tea');
    expect(mock.forLane).toHaveBeenCalledWith('docs');
    await app.close();
  });

  it('may know only get and set', async () => {
    const held = new Map([['price:tea', 'held']]);
    const set = jest.fn(async (_key: string, _value: unknown, _options: unknown) => true);
    const mock = { get: async (key: string) => held.get(key), set };
    const { app, prices } = await booted((builder) => builder.overrideProvider(CacheManager).useValue(mock));
    expect(await prices.of('tea')).toBe('held');
    expect(await prices.of('milk')).toBe('computed milk');
    expect(await prices.put('milk', 'cheap')).toBe('cheap');
    expect(await prices.draft('a')).toBe('draft a');
    expect(set.mock.calls).toEqual([
      ['price:milk', 'computed milk', { tags: ['prices'] }],
      ['price:milk', 'cheap', {}],
    ]);
    await app.close();
  });

  it('may know nothing: the methods run', async () => {
    const { app, prices } = await booted((builder) => builder.overrideProvider(CacheManager).useValue({}));
    expect(await prices.of('tea')).toBe('computed tea');
    expect(await prices.of('tea')).toBe('computed tea');
    expect(await prices.put('tea', 'cheap')).toBe('cheap');
    expect(await prices.putNothing('tea', 'cheap')).toBe('cheap');
    expect(await prices.changed('tea')).toBe('changed');
    expect(await prices.work('a')).toBe('worked a');
    expect(prices.runs).toBe(2);
    await app.close();
  });

  it('sees the invalidations of decorated methods', async () => {
    const mock = {
      invalidate: jest.fn((_key: string) => true),
      invalidateByTag: jest.fn((..._tags: string[]) => undefined),
    };
    const { app, prices } = await booted((builder) => builder.overrideProvider(CacheManager).useValue(mock));
    expect(await prices.changed('tea')).toBe('changed');
    expect(mock.invalidate).toHaveBeenCalledWith('price:tea');
    expect(mock.invalidateByTag).toHaveBeenCalledWith('prices');
    await app.close();
  });
});

describe('a single lane that a test overrides', () => {
  it('answers the methods that name it, and no others', async () => {
    const docs = answering();
    const { app, prices } = await booted((builder) => builder.overrideProvider(getLaneToken('docs')).useValue(docs));
    expect(prices.docs).toBe(docs);
    expect(await prices.of('tea')).toBe('answered price:tea');
    expect(await prices.put('tea', 'cheap')).toBe('cheap');
    expect(await prices.cache.get('price:tea')).toBe('cheap');
    expect(await prices.changed('tea')).toBe('changed');
    expect(await prices.cache.get('price:tea')).toBeUndefined();
    expect(prices.runs).toBe(0);
    await app.close();
  });

  it('is completed where it lacks what decorators need', async () => {
    const held = new Map<string, unknown>([['price:tea', 'held']]);
    const docs = { get: (key: string) => held.get(key) };
    const { app, prices } = await booted((builder) => builder.overrideProvider(getLaneToken('docs')).useValue(docs));
    expect([await prices.of('tea'), await prices.of('milk')]).toEqual(['held', 'computed milk']);
    await app.close();
  });
});

describe('a CacheManager that no test overrides', () => {
  it('is the same under all its tokens', async () => {
    const { app, prices } = await booted((builder) => builder);
    expect(app.get(LANE_CACHE)).toBe(app.get(CacheManager));
    expect(prices.docs).toBe(prices.cache.forLane('docs'));
    await app.close();
  });
});
