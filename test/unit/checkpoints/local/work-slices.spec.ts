import { describe, expect, it, jest } from '@jest/globals';
import type { CheckpointService } from '../../../../lib/checkpoints/checkpoint-service.js';
import type { FakeClock } from '../../../../lib/testing/fake-clock.js';
import { checkpointsInMemory } from '../../../support/checkpoints.js';

const MANY = 500;

/** One id of very many versions. */
const filled = async () => {
  const bench = checkpointsInMemory();
  const saves = Array.from({ length: MANY }, (_, n) => bench.service.cacheCheckpoint('id', n, { workflow: 'w' }));
  await Promise.all(saves);
  return bench;
};

/** Every look at the clock takes a millisecond. */
const slowDown = (clock: FakeClock): void => {
  let now = 0;
  jest.spyOn(clock, 'monotonic').mockImplementation(() => (now += 1));
};

const count = async (service: CheckpointService): Promise<number> => {
  let versions = 0;
  for await (const { version } of service.iterate({ workflow: 'w' })) versions += Math.sign(version);
  return versions;
};

describe('however many versions there are', () => {
  it.each([
    ['history', (service: CheckpointService) => service.history('id')],
    ['list', (service: CheckpointService) => service.list({ limit: MANY })],
    ['iterate', count],
    ['unpin', (service: CheckpointService) => service.unpin('id')],
    ['invalidate', (service: CheckpointService) => service.invalidateCheckpoint('id')],
    ['a cleanup', (service: CheckpointService) => service.cleanupOldCheckpoints(1)],
    ['its dry run', (service: CheckpointService) => service.cleanupOldCheckpoints({ maxAgeDays: 1, dryRun: true })],
  ])('%s leaves the event loop free after a few hundred reads', async (_, call) => {
    const { service, environment, clock } = await filled();
    await clock.advance('2d');
    const table = environment.table('versions');
    table.mostReadsInTurn = 0;
    await call(service);
    expect(table.mostReadsInTurn).toBeGreaterThan(0);
    expect(table.mostReadsInTurn).toBeLessThan(450);
  });

  it('all are given, and all go', async () => {
    const { service } = await filled();
    const history = await service.history('id');
    expect(history.map(({ version }) => version)).toEqual(Array.from({ length: MANY }, (_, n) => MANY - n));
    expect(await service.history('id', { limit: 100 })).toEqual(history.slice(0, 100));
    expect(await count(service)).toBe(MANY);
    expect(await service.pin('id', 7)).toBe(true);
    expect(await service.unpin('id')).toBe(true);
    expect(await service.invalidateCheckpoint('id')).toBe(MANY);
    expect(await service.history('id')).toEqual([]);
  });
});

describe('the removal of an id', () => {
  it('leaves alone what is saved after it was asked for', async () => {
    const { service } = await filled();
    const removed = service.invalidateCheckpoint('id');
    const saved = service.cacheCheckpoint('id', 'new');
    expect(await removed).toBe(MANY);
    expect((await saved).version).toBe(MANY + 1);
    expect(await service.restoreCheckpoint('id')).toBe('new');
  });

  it('returns the newest state or none while it runs, and continues when it is repeated', async () => {
    const { service, environment } = await filled();
    const seen = new Set<unknown>();
    let landings = 0;
    environment.beforeCommit = async () => {
      seen.add(await service.restoreCheckpoint('id'));
      landings += 1;
      if (landings === 5) throw new Error('killed');
    };
    await expect(service.invalidateCheckpoint('id')).rejects.toThrow('killed');
    expect(await service.invalidateCheckpoint('id')).toBeLessThan(MANY);
    expect([...seen, await service.restoreCheckpoint('id')]).toEqual([MANY - 1, undefined]);
  });

  it('makes the newest of those that are left current, whatever else is written with it', async () => {
    const { service } = checkpointsInMemory();
    for (const state of [1, 2, 3]) await service.cacheCheckpoint('id', state);
    await Promise.all([service.pin('id', 1), service.invalidateCheckpoint('id', 3)]);
    expect(await service.restoreCheckpoint('id')).toBe(2);
  });
});

describe('when time runs short', () => {
  it('a rush of saves is spread over several commits, in the order of the calls', async () => {
    const { service, clock, environment } = checkpointsInMemory();
    slowDown(clock);
    const saves = await Promise.all(Array.from({ length: 20 }, (_, n) => service.cacheCheckpoint('id', n)));
    expect(saves.map(({ version }) => version)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
    expect(await service.restoreCheckpoint('id')).toBe(19);
    expect(environment.commits).toBeGreaterThan(3);
  });

  it('a cleanup takes smaller slices and still removes what is due, once', async () => {
    const { service, clock, environment } = checkpointsInMemory();
    for (let n = 0; n < 20; n += 1) await service.cacheCheckpoint(`id ${n % 7}`, n);
    await service.pin('id 3');
    await clock.advance('8d');
    slowDown(clock);
    const { commits } = environment;
    expect(await service.cleanupOldCheckpoints({ dryRun: true })).toMatchObject({ removed: 19, pinnedKept: 1 });
    expect(environment.commits).toBe(commits);
    expect(await service.cleanupOldCheckpoints()).toMatchObject({ removed: 19, pinnedKept: 1 });
    expect(environment.commits).toBeGreaterThan(commits + 5);
  });

  it('a removal of all versions still removes all', async () => {
    const { service, clock } = checkpointsInMemory();
    for (let n = 0; n < 20; n += 1) await service.cacheCheckpoint('id', n);
    slowDown(clock);
    expect(await service.invalidateCheckpoint('id')).toBe(20);
    expect(await service.history('id')).toEqual([]);
  });
});
