import type { DynamicModule } from '@nestjs/common';
import {
  Cached,
  CacheManager,
  CachePut,
  CacheResponse,
  CacheType,
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
  type Tier,
  type TierName,
} from 'nestjs-lane-cache';
import { LaneCacheHealthIndicator } from 'nestjs-lane-cache/health';
import { chaosTier, expectCached, FakeClock, LaneCacheTestingModule, tierContract } from 'nestjs-lane-cache/testing';

class TagFirst extends LaneAwareCacheStrategy {
  override getEvictionPriority(lane: string, entry: EntryView): number {
    return entry.tags.includes('keep') ? -100 : super.getEvictionPriority(lane, entry);
  }
}

@CacheType({ version: 2 })
class Money {
  private constructor(readonly cents: number) {}

  static of(cents: number): Money {
    return new Money(cents);
  }
}

abstract class Shape {
  abstract readonly area: number;
}

const models = defineLane({ extends: 'heavy', ttl: '1h', l1: { maxBytes: '64MB' }, strategy: new TagFirst() });
const types: LaneCacheOptions['types'] = [
  Money,
  {
    type: Shape,
    name: 'shape',
    migrate: (fields, from) => (from === 1 ? { area: Number(fields['area']) } : undefined),
  },
];
const options: LaneCacheOptions = { lane: 'standard', lanes: { models }, directory: false, types };
export const imported: DynamicModule = LaneCacheModule.forRoot({ ...options, metrics: { controller: true } });
export const tested: DynamicModule = LaneCacheTestingModule.forRoot('docs');

/** A custom tier around another tier. */
export class Counted implements Tier {
  reads = 0;
  readonly name: TierName;
  constructor(private readonly inner: Tier) {
    this.name = inner.name;
  }
  get state(): Tier['state'] {
    return this.inner.state;
  }
  read(lane: string, key: string): ReturnType<Tier['read']> {
    this.reads++;
    return this.inner.read(lane, key);
  }
  write: Tier['write'] = (lane, record) => this.inner.write(lane, record);
  remove: Tier['remove'] = (lane, key) => this.inner.remove(lane, key);
  removeMatching: Tier['removeMatching'] = (lane, matches) => this.inner.removeMatching(lane, matches);
  clear: Tier['clear'] = (lane) => this.inner.clear(lane);
  usage: Tier['usage'] = (lane) => this.inner.usage(lane);
  keys: Tier['keys'] = (lane) => this.inner.keys(lane);
  sweep: Tier['sweep'] = (lane) => this.inner.sweep(lane);
  flush: Tier['flush'] = () => this.inner.flush();
  close: Tier['close'] = () => this.inner.close();
}

export function tryOut(tier: Tier): void {
  const chaotic = chaosTier(new Counted(tier), { failRate: 0.5, seed: 7 });
  chaotic.setPlan({ hang: true });
  tierContract('l1', async () => new Counted(tier), { describe: (_name, body) => body(), it: () => undefined });
}

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
  // @ts-expect-error -- a method that returns no promise cannot be cached
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
