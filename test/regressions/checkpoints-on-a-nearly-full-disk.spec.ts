import { describe, expect, it } from '@jest/globals';
import { StorageFault } from '../../lib/storage/environment.js';
import { checkpointsInMemory } from '../support/checkpoints.js';

const LARGE = 'x'.repeat(10_000);

/** Checkpoints on a disk that has room for small states alone, for as long as `isNearlyFull`. */
const nearlyFull = () => {
  const bench = checkpointsInMemory();
  const disk = { isNearlyFull: true };
  const save = (id: string, state: string) => {
    if (disk.isNearlyFull && state === LARGE) bench.environment.failNext = new StorageFault('disk-full', 'no room');
    return bench.service.cacheCheckpoint(id, state).then(
      () => 'saved',
      ({ code }) => code,
    );
  };
  const states = () => bench.events.of('tier').map(({ state, reason }) => reason ?? state);
  return { ...bench, disk, save, states };
};

describe('checkpoints on a disk that takes what is small, and refuses what is large', () => {
  it('report a full disk once, for any number of saves and removals', async () => {
    const { service, save, states } = nearlyFull();
    for (let round = 0; round < 5; round++) {
      expect(await save('large', LARGE)).toBe('CHECKPOINTS_UNAVAILABLE');
      expect(await save('small', 'x')).toBe('saved');
      expect(await service.invalidateCheckpoint('small')).toBeGreaterThan(0);
    }
    expect(states()).toEqual(['disk-full']);
    expect(await service.getCheckpointCacheStatus()).toMatchObject({ state: 'off', reason: 'disk-full' });
  });

  it('are on again as soon as a large one is saved', async () => {
    const { save, disk, states } = nearlyFull();
    await save('large', LARGE);
    disk.isNearlyFull = false;
    expect(await save('large', LARGE)).toBe('saved');
    expect(states()).toEqual(['disk-full', 'on']);
  });

  it('are on again when nothing was refused for a minute', async () => {
    const { service, save, clock, states } = nearlyFull();
    await save('large', LARGE);
    await clock.advance('61s');
    expect(await save('small', 'x')).toBe('saved');
    expect(states()).toEqual(['disk-full', 'on']);
    expect(await service.getCheckpointCacheStatus()).toMatchObject({ state: 'on' });
  });
});
