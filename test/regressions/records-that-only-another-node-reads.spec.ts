import { afterEach, describe, expect, it } from '@jest/globals';
import { crc32 } from 'node:zlib';
import type { CacheManager } from '../../lib/index.js';
import type { GuardedTier } from '../../lib/cache/guarded-tier.js';
import { encodeRecord } from '../../lib/entries/record.js';
import { Caches } from '../support/caches.js';

/** As a later release writes it: the format has another number, and the checksum is correct. */
function ofAnotherRelease(key: string, { birth, now }: { readonly birth: number; readonly now: number }): Uint8Array {
  const times = { storedAt: now, expiresAt: now + 60_000, staleUntil: now + 60_000, computeMs: 1 };
  const texts = { key, tags: [], appVersion: '', schemaVersion: 0 };
  const record = Buffer.from(encodeRecord({ ...texts, ...times, birth, value: Buffer.from('old') }));
  record.writeUInt8(99, 2);
  record.writeUInt32LE(crc32(record.subarray(8), record.readUInt32LE(0)), 4);
  return record;
}

describe('a record that only another release or Node can read', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  const withRecord = async (): Promise<{ readonly cache: CacheManager; readonly l3: GuardedTier }> => {
    const cache = await caches.open({ directory: await caches.directory() });
    const { below, log, life } = cache['context'].shared;
    const l3 = below.find(({ name }) => name === 'l3');
    if (l3 === undefined) throw new Error('There is no L3.');
    const bytes = ofAnotherRelease('key', { birth: log.position, now: life.now() });
    l3.write('standard', {
      key: 'key',
      tags: [],
      birth: log.position,
      computeMs: 1,
      expiresAt: life.now() + 1e6,
      bytes,
    });
    expect(await l3.read('standard', 'key', 'peek')).toEqual({ outcome: 'unreadable' });
    return { cache, l3 };
  };

  const CALLS: Readonly<Record<string, (cache: CacheManager) => Promise<unknown>>> = {
    'a result with a ttl of 0': (cache) => cache.getOrSet('key', () => 'new', { ttl: 0 }),
    'a result that skips the cache': (cache) => cache.getOrSet('key', (ctx) => (ctx.skipCache(), 'new')),
    'an undefined result': (cache) => cache.getOrSet('key', () => undefined).then(() => 'new'),
    'a batch that is not stored': (cache) =>
      cache.getOrSetMany(['key'], () => new Map([['key', 'new']]), { ttl: 0 }).then((all) => all.get('key')),
    'a computation that is put': (cache) =>
      cache.putComputed('key', (ctx) => (ctx.skipCache(), 'new')).then(() => 'new'),
  };

  it.each(Object.keys(CALLS))('does not outlive a newer result that is not stored: %s', async (name) => {
    const { cache, l3 } = await withRecord();
    expect(await CALLS[name]?.(cache)).toBe('new');
    expect(await l3.read('standard', 'key', 'peek')).toEqual({ outcome: 'miss' });
  });

  it('stays while nothing newer is known', async () => {
    const { cache, l3 } = await withRecord();
    expect(await cache.get('key')).toBeUndefined();
    const [explained] = [await cache.explain('key')];
    expect(JSON.stringify(explained)).toContain('only another release');
    await expect(cache.getOrSet('key', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await l3.read('standard', 'key', 'peek')).toEqual({ outcome: 'unreadable' });
  });

  it('is replaced by a newer result', async () => {
    const { cache, l3 } = await withRecord();
    expect(await cache.getOrSet('key', () => 'new')).toBe('new');
    expect(await l3.read('standard', 'key', 'peek')).toMatchObject({ outcome: 'hit' });
  });
});
