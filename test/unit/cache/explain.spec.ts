import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CacheManager } from '../../../lib/app/cache-app.js';
import type { TierName } from '../../../lib/entries/tier-name.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { until } from '../../support/gate.js';
import { StorageBench } from '../../support/storage.js';

describe('explaining a key', () => {
  const bench = new StorageBench();
  let clock: FakeClock;
  let directory: string;
  let cache: CacheManager;

  const open = (version = ''): Promise<CacheManager> =>
    CacheManager.fromSettings({
      directory,
      version,
      clock,
      logger: false,
      storage: { sweepEvery: false, minFreeBytes: '1MB' },
      lanes: {
        standard: { l1: { maxEntries: 3 }, maxEntryBytes: '2KB' },
        graceful: { grace: '5m' },
        eager: { grace: '5m', softTimeout: 0 },
        picky: { exclude: ['private:*'] },
        memory: { l2: { enabled: false }, l3: { enabled: false } },
      },
    });

  beforeEach(async () => {
    clock = new FakeClock();
    directory = await bench.path('cache');
    cache = await open();
  });
  afterEach(async () => {
    await cache.close();
    await bench.dispose();
  });

  const tierOf = async (tier: TierName, key: string, manager = cache) => {
    const found = (await manager.explain(key)).tiers.find((one) => one.tier === tier);
    if (found === undefined) throw new Error(`no ${tier}`);
    return found;
  };
  const put = async (key: string, tags: readonly string[] = []): Promise<void> => {
    await cache.getOrSet(key, () => 'value', { tags });
    await cache.flush();
  };

  it('knows nothing of a key that was never asked for', async () => {
    const explained = await cache.explain('new');
    expect(explained).toMatchObject({ key: 'new', lane: 'standard', next: 'compute' });
    expect(explained.tiers.map(({ tier, status, reason }) => [tier, status, reason])).toEqual([
      ['l1', 'absent', 'never-seen'],
      ['l2', 'absent', 'never-seen'],
      ['l3', 'absent', 'never-seen'],
      ['l4', 'off', 'tier-off'],
    ]);
    expect(explained.answeredBy).toBeUndefined();
  });

  it('shows where an entry is and what is known of it, and touches nothing', async () => {
    await put('key', ['a']);
    const before = cache.getMetrics();
    const explained = await cache.explain('key');
    expect(explained).toMatchObject({
      next: 'hit',
      answeredBy: 'l1',
      summary: expect.stringContaining('served from l1'),
    });
    expect(explained.tiers.map(({ status }) => status)).toEqual(['present', 'present', 'present', 'off']);
    expect(explained.tiers[1]?.entry).toMatchObject({
      key: 'key',
      lane: 'standard',
      tiers: ['l2'],
      tags: ['a'],
      ageMs: 0,
      remainingMs: 900_000,
      accessCount: 0,
    });
    expect({ ...cache.getMetrics(), timestamp: '' }).toEqual({ ...before, timestamp: '' });
    // explaining the oldest entry has not made it a recently used one
    for (const key of ['x', 'y', 'z']) await put(key);
    expect(await tierOf('l1', 'key')).toMatchObject({ status: 'absent', reason: 'evicted' });
    expect(await cache.explain('key')).toMatchObject({ next: 'hit', answeredBy: 'l2' });
    expect(cache.getMetrics().l2.hits).toBe(0);
  });

  it('reports that the class of a value is no longer listed', async () => {
    class Money {
      constructor(readonly cents: number) {}
    }
    await cache.close();
    cache = await CacheManager.fromSettings({ directory, clock, logger: false, types: [Money] });
    await cache.set('price', new Money(5));
    await cache.flush();
    await cache.close();
    cache = await open();
    const { next, summary } = await cache.explain('price');
    expect([next, summary]).toEqual(['compute', expect.stringMatching(/in 'types'\. The next call computes it\.$/)]);
    expect(await tierOf('l3', 'price')).toMatchObject({ status: 'unusable', reason: 'version' });
  });

  it('reports when an entry expired, and which tier can still serve it stale', async () => {
    await put('key');
    const graceful = cache.forLane('graceful');
    const eager = cache.forLane('eager');
    for (const lane of [graceful, eager]) await lane.getOrSet('key', () => 1);
    await cache.flush();
    await clock.advance('16m');
    expect(await tierOf('l1', 'key')).toMatchObject({ status: 'unusable', reason: 'expired' });
    expect(await tierOf('l2', 'key')).toMatchObject({ status: 'absent', reason: 'expired' });
    expect((await cache.explain('key')).next).toBe('compute');
    expect((await graceful.explain('key')).next).toBe('compute');
    expect(await eager.explain('key')).toMatchObject({ next: 'stale', summary: expect.stringContaining('grace') });
    await graceful.getOrSet('key', () => Promise.reject(new Error('source'))).catch(() => undefined);
    expect((await graceful.explain('key')).next).toBe('stale');
  });

  it('names the record that invalidated it, by kind, position and subject', async () => {
    await put('by:key');
    await cache.invalidate('by:key');
    expect(await tierOf('l1', 'by:key')).toMatchObject({
      status: 'absent',
      reason: 'invalidated',
      invalidatedBy: { kind: 'key', subject: 'by:key' },
    });

    await put('by:tag', ['t']);
    await cache.invalidateByTag('t');
    const byTag = await tierOf('l2', 'by:tag');
    expect(byTag).toMatchObject({
      status: 'unusable',
      reason: 'invalidated',
      invalidatedBy: { kind: 'tag', subject: 't' },
    });
    expect(await tierOf('l1', 'by:tag')).toMatchObject({ status: 'unusable', invalidatedBy: byTag.invalidatedBy });

    await put('by:pattern');
    await cache.invalidateByPattern('by:p*');
    const byPattern = await tierOf('l1', 'by:pattern');
    expect(byPattern).toMatchObject({ reason: 'invalidated', invalidatedBy: { kind: 'pattern', subject: 'by:p*' } });
    expect(byPattern.invalidatedBy?.position).toBeGreaterThan(byTag.invalidatedBy?.position ?? Infinity);

    await put('by:all');
    await cache.clearAll();
    expect(await tierOf('l3', 'by:all')).toMatchObject({ reason: 'invalidated', invalidatedBy: { kind: 'all' } });

    await put('by:expire', ['e']);
    await cache.expire('by:expire');
    expect(await tierOf('l1', 'by:expire')).toMatchObject({
      status: 'unusable',
      reason: 'expired',
      invalidatedBy: { kind: 'expire', subject: 'by:expire' },
    });
    await put('by:expired-tag', ['e']);
    await cache.expireByTag('e');
    expect(await tierOf('l1', 'by:expired-tag')).toMatchObject({
      reason: 'expired',
      invalidatedBy: { kind: 'expire', subject: 'e' },
    });
  });

  it('drops an invalidation once a new value is stored', async () => {
    await put('key');
    await cache.invalidate('key');
    await put('key');
    expect(await cache.explain('key')).toMatchObject({ next: 'hit', answeredBy: 'l1' });
  });

  it('reports why a value was refused', async () => {
    await cache.getOrSet('large', () => 'x'.repeat(3_000));
    await cache.getOrSet('odd', () => ({ run: () => 1 }));
    await put('gone');
    await cache.set('gone', Symbol('never stored'));
    expect(await tierOf('l1', 'large')).toMatchObject({
      reason: 'refused',
      detail: expect.stringContaining('too-large'),
    });
    expect(await tierOf('l2', 'odd')).toMatchObject({
      reason: 'refused',
      detail: expect.stringContaining('unstorable'),
    });
    expect(await tierOf('l1', 'gone')).toMatchObject({ reason: 'refused' });
  });

  it('names the tiers that are off and the reason', async () => {
    expect((await cache.forLane('memory').explain('key')).tiers[1]).toMatchObject({
      status: 'off',
      reason: 'tier-off',
      detail: expect.stringContaining('does not use it'),
    });
    const other = await open();
    await other.close();
    expect(await other.explain('key')).toMatchObject({
      next: 'bypass',
      tiers: [{ status: 'off' }, { status: 'off' }, { status: 'off' }, { status: 'off' }],
    });
  });

  it('reports keys that bypass the cache, and keys in flight', async () => {
    expect(await cache.forLane('picky').explain('private:1')).toMatchObject({
      next: 'bypass',
      summary: expect.stringContaining('excluded'),
    });
    const controller = new AbortController();
    const finished = once(controller.signal, 'abort');
    const running = cache.getOrSet('slow', () => finished.then(() => 1));
    await until(async () => (await cache.explain('slow')).next === 'join');
    controller.abort();
    await running;
    expect((await cache.explain('slow')).next).toBe('hit');
  });

  it('distinguishes versions', async () => {
    await put('key');
    await cache.getOrSet('shape', () => 1, { version: 2 });
    expect(await tierOf('l1', 'shape')).toMatchObject({ status: 'unusable', reason: 'version' });
    await cache.close();
    cache = await open('other');
    expect(await tierOf('l3', 'key')).toMatchObject({
      status: 'unusable',
      reason: 'version',
      detail: expect.stringContaining("'other'"),
    });
  });

  it('refuses what is no key', async () => {
    await expect(cache.explain('')).rejects.toMatchObject({ code: 'KEY_INVALID' });
  });
});
