import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { verdictOf, type RetentionOptions, type RetentionRule } from '../../../lib/checkpoints/retention.js';
import { CheckpointCleaner } from '../../../lib/checkpoints/checkpoint-cleaner.js';
import { CheckpointCleanupTask } from '../../../lib/housekeeping/checkpoint-cleanup.task.js';
import { roundsOf } from '../../support/fault-table.js';
import { checkpointsInMemory } from '../../support/checkpoints.js';

const withRetention = (retention: RetentionOptions) => checkpointsInMemory({ retention });

const left = async ({ service }: ReturnType<typeof withRetention>): Promise<readonly string[]> =>
  (await service.list()).items.map(({ id, version }) => `${id}@${version}`).toSorted();

describe('the retention of the settings', () => {
  it('is what a call without options goes by, per lane', async () => {
    const bench = withRetention({ maxAgeDays: { docs: 1, heavy: false } });
    for (const lane of ['docs', 'standard', 'heavy']) await bench.service.cacheCheckpoint(lane, 1, lane);
    await bench.clock.advance('2d');
    expect(await bench.service.cleanupOldCheckpoints()).toMatchObject({ removed: 1 });
    await bench.clock.advance('6d');
    expect(await bench.service.cleanupOldCheckpoints()).toMatchObject({ removed: 1 });
    expect(await left(bench)).toEqual(['heavy@1']);
  });

  it('is overridden by a call field by field', async () => {
    const bench = withRetention({ maxAgeDays: 1, keepLast: 2, keepUnfinished: true });
    for (let n = 0; n < 4; n += 1) await bench.service.cacheCheckpoint('a', n, { workflow: 'w' });
    await bench.clock.advance('2d');
    const planned = async (options: object): Promise<number> =>
      (await bench.service.cleanupOldCheckpoints({ ...options, dryRun: true })).removed;
    expect(await planned({})).toBe(2);
    expect(await planned({ maxAgeDays: 3 })).toBe(0);
    expect(await planned({ maxAgeDays: false })).toBe(0);
    expect(await planned({ keepLast: 0 })).toBe(3);
    expect(await planned({ keepLast: 0, keepUnfinished: false })).toBe(4);
    expect(await planned({ keepLast: 3, keepUnfinished: false })).toBe(1);
  });

  it('is the same for the scheduled task, the call and the dry run, which says why', async () => {
    const benches = ['task', 'call', 'dry run'].map(() =>
      withRetention({ maxAgeDays: { docs: 1 }, keepLast: 1, keepUnfinished: true }),
    );
    const removed = await Promise.all(
      benches.map(async (bench, index) => {
        const { service, clock, store, events } = bench;
        for (const lane of ['docs', 'heavy']) {
          for (const workflow of ['done', 'open']) {
            for (const id of ['x', 'x', 'y']) {
              await service.cacheCheckpoint(`${lane} ${workflow} ${id}`, 1, { lane, workflow });
            }
          }
        }
        await service.cacheCheckpoint('short', 1, { ttl: '1h' });
        await service.finish('done');
        await clock.advance('2d');
        const before = await left(bench);
        const retention: RetentionOptions = { maxAgeDays: { docs: 1 }, keepLast: 1, keepUnfinished: true };
        const cleaner = (): CheckpointCleaner => new CheckpointCleaner(() => store, clock, events, retention);
        if (index === 0) await new CheckpointCleanupTask({ cleaner, events, isOwner: () => true }).run();
        if (index === 1) await service.cleanupOldCheckpoints();
        if (index < 2) {
          const after = await left(bench);
          return before.filter((one) => !after.includes(one));
        }
        const { checkpoints = [] } = await service.cleanupOldCheckpoints({ dryRun: true });
        expect(Object.fromEntries(checkpoints.map(({ id, reason }) => [id, reason]))).toMatchObject({
          short: 'expired',
          'docs open x': 'too-old',
        });
        expect(await left(bench)).toEqual(before);
        return checkpoints.map(({ id, version }) => `${id}@${version}`).toSorted();
      }),
    );
    expect(removed[0]).toEqual(['docs done x@1', 'docs open x@1', 'short@1']);
    expect(removed[1]).toEqual(removed[0]);
    expect(removed[2]).toEqual(removed[0]);
  });

  it('keeps at least keepLast versions when a save trims', async () => {
    const bench = withRetention({ keepVersions: 1, keepLast: 3 });
    for (let n = 0; n < 6; n += 1) await bench.service.cacheCheckpoint('a', n);
    expect(await left(bench)).toEqual(['a@4', 'a@5', 'a@6']);
    expect(await bench.service.restoreCheckpoint('a', { version: 4 })).toBe(3);
  });

  it('trims an id of many versions a part at each save, after it was turned on', async () => {
    const { service: before, store } = checkpointsInMemory();
    for (let n = 0; n < 150; n += 1) await before.cacheCheckpoint('a', n);
    const { service } = checkpointsInMemory({ store: () => store, retention: { keepVersions: 2 } });
    const counts: number[] = [];
    for (let n = 0; n < 4; n += 1) {
      await service.cacheCheckpoint('a', n);
      counts.push((await store.versions('a')).length);
    }
    expect(counts).toEqual([87, 24, 2, 2]);
  });
});

interface Drawn {
  readonly workflow: string | undefined;
  readonly ageDays: number;
  readonly isPinned: boolean;
}

const drawn = fc.record({
  workflow: fc.constantFrom(undefined, 'open', 'done'),
  ageDays: fc.nat(20),
  isPinned: fc.boolean(),
});

describe('keepUnfinished', () => {
  it('never lets the newest version of an id of an unfinished workflow go, by cleanup or by save', async () => {
    const property = fc.asyncProperty(
      fc.array(drawn, { minLength: 1, maxLength: 12 }),
      fc.nat(3),
      fc.nat(3),
      async (all: readonly Drawn[], keepVersions, keepLast) => {
        const bench = withRetention({ maxAgeDays: 7, keepLast, keepVersions, keepUnfinished: true });
        const { service, clock, store } = bench;
        for (const { workflow, ageDays, isPinned } of all) {
          await clock.advance(`${ageDays}h`);
          const { version } = await service.cacheCheckpoint('id', 1, workflow === undefined ? {} : { workflow });
          if (isPinned) await service.pin('id', version);
        }
        await service.finish('done');
        await clock.advance('30d');
        await service.cleanupOldCheckpoints();
        const kept = new Set(await store.versions('id'));
        const newest = all.findLastIndex(({ workflow }) => workflow === 'open') + 1;
        expect(newest === 0 || kept.has(newest)).toBe(true);
        for (const [index, { isPinned }] of all.entries()) expect(!isPinned || kept.has(index + 1)).toBe(true);
        expect((await service.cacheCheckpoint('id', 2)).version).toBe(all.length + 1);
      },
    );
    await expect(fc.assert(property, { numRuns: roundsOf(60, 200) })).resolves.toBeUndefined();
  });
});

describe('the verdict on a version', () => {
  const rule: RetentionRule = { now: 100, savedBefore: 50, keepLast: 0, keepUnfinished: false };
  const version = { savedAt: 10, pinned: false };
  const none = { newer: () => 0, isLastOfUnfinished: () => true };

  it.each([
    [version, rule, { remove: 'too-old' }],
    [{ ...version, savedAt: 50 }, rule, { keep: 'recent' }],
    [{ ...version, pinned: true }, rule, { keep: 'pinned' }],
    [{ ...version, expiresAt: 99 }, { ...rule, keepLast: 9, keepUnfinished: true }, { remove: 'expired' }],
    [{ ...version, expiresAt: 100 }, { ...rule, savedBefore: 0 }, { keep: 'recent' }],
    [version, { ...rule, keepLast: 1 }, { keep: 'keep-last' }],
    [version, { ...rule, keepUnfinished: true }, { keep: 'unfinished' }],
    [{ ...version, savedAt: 60 }, { ...rule, keepVersions: 0 }, { remove: 'surplus' }],
    [{ ...version, savedAt: 60 }, { ...rule, keepVersions: 1 }, { keep: 'recent' }],
  ])('%j under %j is %j', (one, under, verdict) => {
    expect(verdictOf(one, under, none)).toEqual(verdict);
  });
});
