import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CacheManager } from '../../lib/index.js';
import { Caches } from '../support/caches.js';

const MEGABYTE = 1024 * 1024;

describe('a bulk write of more than a tier takes at once', () => {
  const caches = new Caches();
  let owner: CacheManager;
  let other: CacheManager;
  beforeAll(async () => {
    const directory = await caches.directory();
    const l1 = { maxEntries: 10 };
    const l3 = { maxBytes: 200 * MEGABYTE };
    const lanes = { standard: { maxEntryBytes: 8 * MEGABYTE, l1, l2: { enabled: false }, l3 } } as const;
    owner = await caches.open({ directory, lanes });
    other = await caches.open({ directory, lanes });
  });
  afterAll(() => caches.close());

  const entries = (name: string, sizes: readonly number[]): [string, Buffer][] =>
    sizes.map((size, n) => [`${name}:${n}`, Buffer.alloc(size, n)]);
  const same = (count: number, size: number): number[] => Array.from({ length: count }, () => size);

  it('loses nothing in the process that owns the directory', async () => {
    // The queue of a tier takes 64 MB.
    const given = entries('owner', [...same(12, 6 * MEGABYTE), 9 * MEGABYTE, ...same(12, 100)]);
    expect(await owner.setMany(given)).toBe(24);
    expect(owner.getMetrics().refused).toMatchObject({ backlog: 0, 'too-large': 1 });
    await owner.flush();
    expect(owner.getMetrics().l3.entries).toBe(24);
    expect(given[0]?.[1].equals((await owner.get<Buffer>('owner:0')) ?? Buffer.of())).toBe(true);
  });

  it('loses nothing in another process, whose offers the owner has to store', async () => {
    await owner.clearAll();
    // What waits for the owner may have 32 MB.
    const given = entries('other', [...same(40, MEGABYTE), ...same(12, 100)]);
    expect(await other.setMany(given)).toBe(52);
    expect(other.getMetrics().refused.backlog).toBe(0);
    await other.flush();
    expect(owner.getMetrics().l3.entries).toBe(52);
    expect(given[0]?.[1].equals((await owner.get<Buffer>('other:0')) ?? Buffer.of())).toBe(true);
  });

  it('loses nothing that is computed at once, in the process that owns the directory', async () => {
    await owner.clearAll();
    const computed = new Map(entries('computed', same(14, 6 * MEGABYTE)));
    const answers = await owner.getOrSetMany([...computed.keys()], () => computed);
    expect(answers.size).toBe(14);
    expect(owner.getMetrics().refused.backlog).toBe(0);
    await owner.flush();
    expect(owner.getMetrics().l3.entries).toBe(14);
  });

  it('loses nothing that another process computes at once', async () => {
    await owner.clearAll();
    const computed = new Map(entries('theirs', same(40, MEGABYTE)));
    const answers = await other.getOrSetMany([...computed.keys()], () => computed);
    expect(answers.size).toBe(40);
    expect(other.getMetrics().refused.backlog).toBe(0);
    await other.flush();
    expect(owner.getMetrics().l3.entries).toBe(40);
  });

  it('loses nothing to what another process had invalidated before the call', async () => {
    for (let round = 0; round < 3; round++) {
      await owner.invalidateByPattern('*');
      expect(await other.setMany(entries('after', same(500, 10)))).toBe(500);
    }
  });
});
