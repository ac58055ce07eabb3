import { describe, expect, it } from '@jest/globals';
import { ReadFaults } from '../../../../lib/checkpoints/local/checkpoint-tables.js';
import { StorageFault } from '../../../../lib/storage/environment.js';
import { checkpointsInMemory } from '../../../support/checkpoints.js';

const UNAVAILABLE = { code: 'CHECKPOINTS_UNAVAILABLE' };

const saved = async () => {
  const bench = checkpointsInMemory();
  for (const step of [1, 2, 3]) await bench.service.cacheCheckpoint('id', { step }, { workflow: 'w' });
  await bench.service.invalidateCheckpoint('id', 3);
  return bench;
};

describe('what cannot be read', () => {
  it.each(['heads', 'versions', 'states'])('never passes for what was never saved (%s)', async (table) => {
    const { service, environment } = await saved();
    environment.table(table).isUnreadable = true;
    await expect(service.restoreCheckpoint('id')).rejects.toMatchObject(UNAVAILABLE);
    await expect(service.restoreCheckpoint('id', { fallback: true })).rejects.toMatchObject(UNAVAILABLE);
  });

  it('makes listings fail rather than leave something out', async () => {
    const { service, environment } = await saved();
    environment.table('versions').isUnreadable = true;
    environment.table('order').isUnreadable = true;
    await expect(service.history('id')).rejects.toMatchObject(UNAVAILABLE);
    await expect(service.list()).rejects.toMatchObject(UNAVAILABLE);
    await expect(service.latest('w')).rejects.toMatchObject(UNAVAILABLE);
  });

  it('stops writing, as a version could be used twice, and leaves what is sound to be restored', async () => {
    const { service, environment, events } = await saved();
    environment.table('heads').isUnreadable = true;
    const { commits } = environment;
    await expect(service.cacheCheckpoint('id', { step: 4 })).rejects.toMatchObject(UNAVAILABLE);
    environment.table('heads').isUnreadable = false;
    await expect(service.cacheCheckpoint('other', 1)).rejects.toMatchObject(UNAVAILABLE);
    await expect(service.invalidateCheckpoint('id')).rejects.toMatchObject(UNAVAILABLE);
    expect(environment.commits).toBe(commits);
    expect(await service.restoreCheckpoint('id')).toEqual({ step: 2 });
    expect(events.of('tier')).toEqual([
      expect.objectContaining({ tier: 'checkpoints', state: 'off', reason: 'breaker' }),
    ]);
  });

  it('ends writing also when a commit shows it', async () => {
    const { service, environment } = await saved();
    environment.failNext = new StorageFault('damaged', 'a page that lies');
    await expect(service.cacheCheckpoint('id', { step: 4 })).rejects.toMatchObject(UNAVAILABLE);
    await expect(service.cacheCheckpoint('id', { step: 4 })).rejects.toMatchObject(UNAVAILABLE);
    expect(await service.restoreCheckpoint('id')).toEqual({ step: 2 });
    expect(await service.getCheckpointCacheStatus()).toMatchObject({ state: 'off', reason: 'breaker', versions: 2 });
  });

  it('shows in the status, which still does not fail', async () => {
    const { service, environment } = await saved();
    environment.table('usage').isUnreadable = true;
    expect(await service.getCheckpointCacheStatus()).toMatchObject({ state: 'off', reason: 'breaker', versions: 0 });
  });

  it('is reported to a listener, also when it happened before the listener was added', () => {
    const faults = new ReadFaults();
    faults.note('io', 'too many readers', undefined);
    faults.note('damaged', 'a page', undefined);
    const heard: StorageFault[] = [];
    faults.listen((fault) => heard.push(fault));
    faults.note('io', 'again', undefined);
    expect(heard.map(({ kind, message }) => [kind, message])).toEqual([
      ['damaged', 'a page'],
      ['io', 'again'],
    ]);
  });

  it('for a reason that passes only fails that one call', async () => {
    const { service, store } = checkpointsInMemory();
    await service.cacheCheckpoint('id', 1);
    expect(store.state.state).toBe('on');
    const faults = new ReadFaults();
    const before = faults.count;
    faults.note('io', 'too many readers', undefined);
    expect(() => faults.throwSince(before)).toThrow('too many readers');
    expect(() => faults.throwSince(faults.count)).not.toThrow();
    expect(faults.damage).toBeUndefined();
  });
});
