import { afterEach, describe, expect, it } from '@jest/globals';
import { LaneAwareCacheStrategy, type CacheCandidate, type CacheManager, type EntryView } from '../../lib/index.js';
import { FakeClock } from '../../lib/testing/index.js';
import { Caches } from '../support/caches.js';

const MB = 1_024 ** 2;

const keysIn = async (cache: CacheManager): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of cache.entries()) keys.push(key);
  return keys.toSorted();
};

describe('what a lane takes in', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  it('is what include names and exclude does not', async () => {
    const lanes = { standard: { include: ['page:*', 'post:*'], exclude: ['*:draft'] } } as const;
    const cache = await caches.open({ directory: await caches.directory(), lanes });
    for (const key of ['page:1', 'page:1:draft', 'user:1']) {
      expect(await cache.getOrSet(key, () => 1)).toBe(1);
      expect(await cache.getOrSet(key, () => 2)).toBe(key === 'page:1' ? 1 : 2);
    }
    expect(await cache.get('user:1')).toBeUndefined();
    expect(await cache.has('user:1')).toBe(false);
    expect(await cache.set('user:1', 3)).toBe(false);
    const many = await cache.getOrSetMany(
      ['page:1', 'user:1', 'post:1'],
      (missing) => new Map(missing.map((key) => [key, 9])),
    );
    expect([...many]).toEqual([
      ['page:1', 1],
      ['user:1', 9],
      ['post:1', 9],
    ]);
    expect(await keysIn(cache)).toEqual(['page:1', 'post:1']);
    expect(cache.getMetrics()).toMatchObject({ bypassed: { excluded: 6 }, computed: 2 });
  });

  it('is no larger than maxEntryBytes; a larger value is returned uncached and replaces nothing', async () => {
    const warnings: string[] = [];
    const warn = (text: string): void => void warnings.push(text);
    const lanes = { standard: { maxEntryBytes: '1KB' }, docs: { maxEntryBytes: '2KB' } } as const;
    const cache = await caches.open({ lanes, logger: { log: () => undefined, warn, error: warn } });
    const large = 'x'.repeat(1_500);
    expect(await cache.getOrSet('key', () => large)).toBe(large);
    expect(await cache.getOrSet('other', () => large)).toBe(large);
    expect(await cache.has('key')).toBe(false);
    expect(cache.getMetrics().refused['too-large']).toBe(2);
    expect(warnings).toEqual([expect.stringMatching(/'standard'.*"key".*too-large.*maxEntryBytes/)]);
    expect(await cache.forLane('docs').set('key', large)).toBe(true);

    await cache.set('kept', 'small');
    expect(await cache.set('kept', large)).toBe(false);
    expect(await cache.get('kept')).toBeUndefined();
  });

  it('may be as large as 20 MB, in every tier', async () => {
    const directory = await caches.directory();
    const options = { directory, lane: 'heavy', lanes: { heavy: { l1: { maxEntries: 1 } } } } as const;
    const cache = await caches.open(options);
    const bytes = Buffer.alloc(20 * MB, 'lane');
    const text = 'ü'.repeat(10 * MB);
    await cache.set('bytes', bytes);
    await cache.set('text', text);
    await cache.set('other', 1);
    await cache.flush();
    expect((await cache.get<Buffer>('bytes'))?.equals(bytes)).toBe(true);
    expect((await cache.get('text')) === text).toBe(true);
    expect(cache.getMetrics().l2).toMatchObject({ hits: 2, errors: 0 });
    await cache.close();
    const restarted = await caches.open(options);
    expect((await restarted.get<Buffer>('bytes'))?.equals(bytes)).toBe(true);
    expect((await restarted.get('text')) === text).toBe(true);
    expect(restarted.getMetrics().l3).toMatchObject({ hits: 2, errors: 0 });
    expect(await restarted.invalidate('bytes')).toBe(true);
    expect(restarted.getMetrics().l3.entries).toBe(2);
  });

  it('is what its strategy accepts', async () => {
    const asked: CacheCandidate[] = [];
    class NoDrafts extends LaneAwareCacheStrategy {
      override shouldCache(candidate: CacheCandidate): boolean {
        asked.push(candidate);
        return !candidate.tags.includes('draft');
      }
    }
    const clock = new FakeClock();
    const cache = await caches.open({ clock, lanes: { standard: { strategy: new NoDrafts() } } });
    const slow = async (): Promise<string> => {
      await clock.advance('3s');
      return 'text';
    };
    expect(await cache.getOrSet('page', slow, { tags: ['draft'] })).toBe('text');
    expect(await cache.set('page', 'set', { tags: ['draft'] })).toBe(false);
    expect(await cache.getOrSet('page', () => 'final')).toBe('final');
    expect(await cache.get('page')).toBe('final');
    expect(asked[0]).toEqual({
      lane: 'standard',
      key: 'page',
      value: 'text',
      tags: ['draft'],
      sizeBytes: expect.any(Number),
      computeMs: 3_000,
    });
    expect(cache.getMetrics().refused.strategy).toBe(2);
  });

  it('is everything if its strategy throws, with one warning for each of its functions', async () => {
    const warnings: string[] = [];
    const warn = (text: string): void => void warnings.push(text);
    class Broken extends LaneAwareCacheStrategy {
      override shouldCache(): boolean {
        throw new Error('broken');
      }
      override getEvictionPriority(): number {
        throw new Error('broken');
      }
    }
    const lanes = { standard: { strategy: new Broken(), l1: { maxEntries: 2 } } } as const;
    const cache = await caches.open({ lanes, logger: { log: () => undefined, warn, error: warn } });
    for (const key of ['a', 'b', 'c']) expect(await cache.set(key, key)).toBe(true);
    expect(await keysIn(cache)).toEqual(['b', 'c']);
    expect(warnings).toEqual([
      expect.stringMatching(/^shouldCache.*standard.*broken/),
      expect.stringMatching(/^getEvictionPriority.*standard.*broken/),
    ]);
  });
});

describe('what leaves a full lane first', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  class ByTag extends LaneAwareCacheStrategy {
    override getEvictionPriority(lane: string, entry: EntryView): number {
      let priority = super.getEvictionPriority(lane, entry);
      if (entry.tags.includes('important')) priority -= 100;
      if (entry.tags.includes('temporary')) priority += 100;
      return priority;
    }
  }

  it('is decided by a rule of ±100 for a tag, as in the guide', async () => {
    const clock = new FakeClock();
    const cache = await caches.open({ clock, lanes: { standard: { strategy: new ByTag(), l1: { maxEntries: 4 } } } });
    await cache.set('important', 'x'.repeat(50_000), { tags: ['important'] });
    await clock.advance('10m');
    await cache.set('plain old', 1);
    await clock.advance('1m');
    await cache.set('plain young', 1);
    await cache.set('temporary', 1, { tags: ['temporary'] });
    await cache.set('a', 1);
    expect(await keysIn(cache)).toEqual(['a', 'important', 'plain old', 'plain young']);
    await clock.advance('1s');
    await cache.set('b', 1);
    expect(await keysIn(cache)).toEqual(['a', 'b', 'important', 'plain young']);
  });

  it('is the least recently used one if the priorities are no numbers', async () => {
    class NoNumbers extends LaneAwareCacheStrategy {
      override getEvictionPriority(): number {
        return NaN;
      }
    }
    const cache = await caches.open({ lanes: { standard: { strategy: new NoNumbers(), l1: { maxEntries: 3 } } } });
    for (const key of ['a', 'b', 'c']) await cache.set(key, key);
    await cache.get('a');
    await cache.set('d', 'd');
    expect(await keysIn(cache)).toEqual(['a', 'c', 'd']);
  });

  it('sees what each entry is', async () => {
    const seen: EntryView[] = [];
    class Watching extends LaneAwareCacheStrategy {
      override getEvictionPriority(lane: string, entry: EntryView): number {
        seen.push(entry);
        return super.getEvictionPriority(lane, entry);
      }
    }
    const clock = new FakeClock();
    const cache = await caches.open({
      clock,
      lanes: { standard: { strategy: new Watching(), l1: { maxEntries: 1 } } },
    });
    await cache.getOrSet('key', () => clock.advance('2s').then(() => 'text'), { ttl: '60s', tags: ['tag'] });
    await clock.advance('10s');
    await cache.get('key');
    await cache.getOrSet('key', () => 'never');
    await clock.advance('5s');
    await cache.set('other', 1);
    expect(seen[0]).toMatchObject({
      key: 'key',
      tags: ['tag'],
      tier: 'l1',
      computeMs: 2e3,
      accessCount: 2,
      ...{
        ageMs: 15e3,
        idleMs: 5e3,
        remainingMs: 45e3,
      },
    });
  });
});
