import type { DynamicModule } from '@nestjs/common';
import {
  Cached,
  CacheManager,
  CachePut,
  CacheResponse,
  Checkpointed,
  CacheInvalidate,
  defineLane,
  isLaneCacheError,
  LaneAwareCacheStrategy,
  LaneCacheModule,
  laneKeyvStore,
  type CachePolicy,
  type Duration,
  type EntryView,
  type LaneCacheOptions,
  type LaneMetrics,
} from 'nestjs-lane-cache';
import { LaneCacheHealthIndicator } from 'nestjs-lane-cache/health';
import { expectCached, FakeClock, LaneCacheTestingModule } from 'nestjs-lane-cache/testing';

class TagFirst extends LaneAwareCacheStrategy {
  override getEvictionPriority(lane: string, entry: EntryView): number {
    return entry.tags.includes('keep') ? -100 : super.getEvictionPriority(lane, entry);
  }
}

const models = defineLane({ extends: 'heavy', ttl: '1h', l1: { maxBytes: '64MB' }, strategy: new TagFirst() });
const options: LaneCacheOptions = { lane: 'standard', lanes: { models }, directory: false };
export const imported: DynamicModule = LaneCacheModule.forRoot({ ...options, metrics: { controller: true } });
export const tested: DynamicModule = LaneCacheTestingModule.forRoot('docs');

export class Service {
  @Cached({ key: 'a:{0}', ttl: '10m' })
  async get(id: string): Promise<number> {
    return id.length;
  }

  @CachePut({ key: 'a:{0}' })
  async put(_id: string, value: number): Promise<number> {
    return value;
  }

  @CacheInvalidate({ tags: ['a'] })
  async clear(): Promise<void> {}

  @Checkpointed({ id: (job: string) => `job:${job}` })
  async work(job: string): Promise<string> {
    return job;
  }

  @CacheResponse({ varyBy: (request: { user?: { id: string } }) => request.user?.id })
  respond(): object {
    return {};
  }
}

export class Wrong {
  // @ts-expect-error -- a method that gives no promise cannot be cached
  @Cached()
  now(): number {
    return 1;
  }
}

export async function use(ttl: Duration): Promise<number> {
  const clock = new FakeClock();
  const cache = await CacheManager.fromSettings({ ...options, clock });
  const value: { readonly n: number } = await cache.getOrSet('k', async (ctx) => ({ n: ctx.key.length }), { ttl });
  const policy: CachePolicy = cache.policy;
  const metrics: LaneMetrics = cache.getMetrics();
  await expectCached(cache, 'k').toExpireWithin(policy.ttlMs / 1_000);
  await laneKeyvStore(cache).set('a', 1, 1_000);
  const key: string = cache.keyFor(Service, 'get', ['id']);
  try {
    await cache.invalidate(key);
  } catch (error) {
    if (isLaneCacheError(error, 'CLOSED')) return metrics.requests;
  }
  // @ts-expect-error -- there is no such unit
  await cache.set('k', 1, { ttl: '5 lightyears' });
  return value.n;
}

export type Health = Awaited<ReturnType<LaneCacheHealthIndicator['isHealthy']>>;
