import { describe, expect, it } from '@jest/globals';
import { checkpointsInMemory } from '../support/checkpoints.js';

/** Saves versions, all of which are pinned. */
async function savePinned({ store }: ReturnType<typeof checkpointsInMemory>, count: number): Promise<void> {
  const draft = { id: 'a', lane: 'standard', savedAt: 0, sizeBytes: 1, checksum: '' };
  const saves = Array.from({ length: count }, () => store.save(draft, Uint8Array.of(1)));
  await Promise.all(saves);
  await Promise.all((await store.versions('a')).map((version) => store.mark('a', 'pinned', version)));
}

describe('retention of checkpoints', () => {
  it.each([64, 600])('keeps as many versions as set, also where %i older ones are pinned', async (pinned) => {
    const bench = checkpointsInMemory({ retention: { keepVersions: 2 } });
    const { service } = bench;
    await savePinned(bench, pinned);
    for (let n = 0; n < 10; n += 1) await service.cacheCheckpoint('a', n);
    const all = await service.history('a');
    expect(all.filter((one) => !one.pinned).map(({ version }) => version)).toEqual([pinned + 10, pinned + 9]);
  });

  it('keeps the newest version of each unfinished workflow, also below many pinned ones', async () => {
    const bench = checkpointsInMemory({ retention: { keepVersions: 1, keepUnfinished: true } });
    const { service } = bench;
    await service.cacheCheckpoint('a', 1, { workflow: 'open' });
    await savePinned(bench, 70);
    await service.unpin('a', 1);
    for (let n = 0; n < 5; n += 1) await service.cacheCheckpoint('a', n);
    const all = await service.history('a');
    expect(all.filter((one) => !one.pinned).map(({ version }) => version)).toEqual([76, 1]);
  });

  it('counts each id once whose newest version goes, and reports no dry run', async () => {
    const { service, clock, events } = checkpointsInMemory();
    await service.cacheCheckpoint('a', 1);
    await service.cacheCheckpoint('a', 2, { ttl: '1h' });
    await service.cacheCheckpoint('b', 1);
    await clock.advance('8d');
    await service.cleanupOldCheckpoints({ dryRun: true });
    await service.cleanupOldCheckpoints();
    expect(events.of('cleanup')).toMatchObject([{ removed: 3, newestOfId: 2 }]);
  });

  it.each(['constructor', 'toString', '__proto__'])(
    'gives a lane named %s its 7 days, and its own where set',
    async (lane) => {
      const clean = async (days: object): Promise<number> => {
        const maxAgeDays: Record<string, number> = { standard: 1 };
        const settings = { lanes: [lane, 'standard'], retention: { maxAgeDays: Object.assign(maxAgeDays, days) } };
        const { service, clock } = checkpointsInMemory(settings);
        await service.cacheCheckpoint('a', 1, lane);
        await clock.advance('9d');
        const { lanes } = await service.getCheckpointCacheStatus();
        expect(Object.keys(lanes)).toEqual([lane]);
        return (await service.cleanupOldCheckpoints()).removed;
      };
      expect(await clean({})).toBe(1);
      if (lane !== '__proto__') expect(await clean({ [lane]: 30 })).toBe(0);
    },
  );
});

describe('a fork', () => {
  it('of a version whose lane the app no longer has is refused, and takes another lane', async () => {
    const { service, store, clock, events } = checkpointsInMemory();
    await service.cacheCheckpoint('a', 1, 'heavy');
    const later = checkpointsInMemory({ clock, events, store: () => store, lanes: ['standard'] });
    await expect(later.service.fork('a', 'b')).rejects.toMatchObject({ code: 'LANE_UNKNOWN' });
    expect(await later.service.fork('a', 'b', { lane: 'standard' })).toMatchObject({ lane: 'standard', version: 1 });
  });
});
