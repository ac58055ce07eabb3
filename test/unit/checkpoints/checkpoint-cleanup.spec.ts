import { describe, expect, it } from '@jest/globals';
import { checkpointsInMemory } from '../../support/checkpoints.js';

describe('cleanupOldCheckpoints', () => {
  it('removes what is older than the limit; what is exactly as old stays', async () => {
    const { service, clock } = checkpointsInMemory();
    await service.cacheCheckpoint('a', 'x');
    await clock.advance('7d');
    expect(await service.cleanupOldCheckpoints()).toEqual({ removed: 0, bytes: 0, pinnedKept: 0, dryRun: false });
    await clock.advance('1ms');
    const { sizeBytes } = (await service.history('a'))[0] ?? {};
    expect(await service.cleanupOldCheckpoints()).toEqual({
      removed: 1,
      bytes: sizeBytes,
      pinnedKept: 0,
      dryRun: false,
    });
    expect(await service.restoreCheckpoint('a')).toBeUndefined();
  });

  it('takes the guide’s bare number of days', async () => {
    const { service, clock } = checkpointsInMemory();
    await service.cacheCheckpoint('a', 1);
    await clock.advance('3d');
    expect((await service.cleanupOldCheckpoints(3)).removed).toBe(0);
    expect((await service.cleanupOldCheckpoints(2.5)).removed).toBe(1);
  });

  it('never removes a pinned version, and counts it', async () => {
    const { service, clock } = checkpointsInMemory();
    for (const step of [1, 2, 3]) await service.cacheCheckpoint('a', step);
    expect(await service.pin('a', 2)).toBe(true);
    expect(await service.pin('a')).toBe(true);
    await clock.advance('8d');
    expect(await service.cleanupOldCheckpoints()).toMatchObject({ removed: 1, pinnedKept: 2 });
    expect((await service.history('a')).map(({ version, pinned }) => [version, pinned])).toEqual([
      [3, true],
      [2, true],
    ]);
    expect(await service.unpin('a')).toBe(true);
    expect((await service.cleanupOldCheckpoints()).removed).toBe(2);
  });

  it('removes what has expired, whatever its age, unless it is pinned', async () => {
    const { service, clock } = checkpointsInMemory();
    await service.cacheCheckpoint('gone', 1, { ttl: '1h' });
    await service.cacheCheckpoint('pinned', 1, { ttl: '1h' });
    await service.cacheCheckpoint('fresh', 1, { ttl: '1d' });
    await service.pin('pinned');
    await clock.advance('2h');
    expect(await service.cleanupOldCheckpoints()).toMatchObject({ removed: 1, pinnedKept: 1 });
    expect((await service.list()).items.map(({ id }) => id)).toEqual(['fresh', 'pinned']);
    await clock.advance('8d');
    expect(await service.cleanupOldCheckpoints()).toMatchObject({ removed: 1, pinnedKept: 1 });
  });

  it('keeps the last so many versions of each id', async () => {
    const { service, clock } = checkpointsInMemory();
    for (const id of ['a', 'b']) for (const step of [1, 2, 3, 4]) await service.cacheCheckpoint(id, step);
    await service.cacheCheckpoint('a', 'expired', { ttl: '1h' });
    await clock.advance('30d');
    expect((await service.cleanupOldCheckpoints({ keepLast: 2 })).removed).toBe(5);
    expect((await service.history('a')).map(({ version }) => version)).toEqual([4, 3]);
    expect((await service.history('b')).map(({ version }) => version)).toEqual([4, 3]);
  });

  it('stays inside the lane and the workflow it is given', async () => {
    const { service, clock } = checkpointsInMemory();
    for (const lane of ['docs', 'heavy']) {
      for (const workflow of ['w1', 'w2']) await service.cacheCheckpoint(`${lane} ${workflow}`, 1, { lane, workflow });
    }
    await clock.advance('8d');
    expect((await service.cleanupOldCheckpoints({ lane: 'docs', workflow: 'w1' })).removed).toBe(1);
    expect((await service.cleanupOldCheckpoints({ workflow: 'w1' })).removed).toBe(1);
    expect((await service.list()).items.map(({ id }) => id)).toEqual(['heavy w2', 'docs w2']);
  });

  it('lists what would be removed, a thousand at most, in a dry run', async () => {
    const { service, clock, environment } = checkpointsInMemory();
    await Promise.all(Array.from({ length: 1_100 }, (_, n) => service.cacheCheckpoint(`id ${n}`, n)));
    await clock.advance('8d');
    const { commits } = environment;
    const report = await service.cleanupOldCheckpoints({ dryRun: true });
    expect(report).toMatchObject({ removed: 1_100, dryRun: true });
    expect(report.checkpoints).toHaveLength(1_000);
    expect(report.checkpoints?.[0]).toMatchObject({ id: 'id 0', version: 1 });
    expect(environment.commits).toBe(commits);
    expect((await service.cleanupOldCheckpoints()).removed).toBe(1_100);
    expect(await service.getCheckpointCacheStatus()).toEqual({
      cachedCheckpoints: 0,
      versions: 0,
      bytes: 0,
      state: 'on',
      lanes: {},
    });
  });

  it('has removed whole slices when it is interrupted, and continues when it is repeated', async () => {
    const { service, clock, environment } = checkpointsInMemory();
    await Promise.all(Array.from({ length: 300 }, (_, n) => service.cacheCheckpoint(`id ${n}`, n)));
    await clock.advance('8d');
    let landings = 0;
    environment.beforeCommit = async () => {
      landings += 1;
      if (landings === 3) throw new Error('killed');
    };
    await expect(service.cleanupOldCheckpoints()).rejects.toThrow('killed');
    const left = (await service.getCheckpointCacheStatus()).versions;
    expect(left).toBeLessThan(300);
    expect((await service.list({ limit: 1_000 })).items).toHaveLength(left);
    expect((await service.cleanupOldCheckpoints()).removed).toBe(left);
  });

  it('lets a restore see the state or nothing while it runs', async () => {
    const { service, clock, environment } = checkpointsInMemory();
    const state = Buffer.alloc(9 * 1024 ** 2, 'x');
    for (const id of ['a', 'b', 'c']) await service.cacheCheckpoint(id, state);
    await clock.advance('8d');
    const seen: unknown[] = [];
    environment.beforeCommit = async () => {
      for (const id of ['a', 'b', 'c']) seen.push((await service.restoreCheckpoint<Buffer>(id))?.length);
    };
    const cleaning = service.cleanupOldCheckpoints();
    for (const id of ['a', 'b', 'c']) seen.push((await service.restoreCheckpoint<Buffer>(id))?.length);
    expect((await cleaning).removed).toBe(3);
    for (const id of ['a', 'b', 'c']) seen.push((await service.restoreCheckpoint<Buffer>(id))?.length);
    expect(seen.slice(-3)).toEqual([undefined, undefined, undefined]);
    expect(new Set(seen)).toEqual(new Set([state.length, undefined]));
  });

  it.each([{ maxAgeDays: -1 }, { maxAgeDays: Number.NaN }, { keepLast: -1 }, { keepLast: 0.5 }])(
    'refuses %j',
    async (options) => {
      const { service } = checkpointsInMemory();
      await expect(service.cleanupOldCheckpoints(options)).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' });
    },
  );

  it.each([null, '30', true])('refuses %j, which no type checker let through', async (options) => {
    const { service } = checkpointsInMemory();
    await expect(service.cleanupOldCheckpoints(options as never)).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' });
  });
});
