import { describe, expect, it } from '@jest/globals';
import { CheckpointDamagedError } from '../../../lib/errors/checkpoint.errors.js';
import type { MemoryEnvironment } from '../../support/checkpoint-environment.js';
import { checkpointsInMemory, checkpointsOver } from '../../support/checkpoints.js';

/** Turns one bit of each row that belongs to the version. */
const damage = (environment: MemoryEnvironment, table: string, version: number): void => {
  for (const { key, value } of environment.table(table).rows) {
    if (typeof key !== 'object' || key[1] !== version) continue;
    const middle = value.length >> 1;
    value.set([(value[middle] ?? 0) ^ 1], middle);
  }
};

const threeVersions = async () => {
  const bench = checkpointsInMemory();
  for (const step of [1, 2, 3]) await bench.service.cacheCheckpoint('id', { step, text: 'x'.repeat(100) });
  return bench;
};

describe('a damaged checkpoint', () => {
  it.each(['states', 'versions'])('is never given out (%s)', async (table) => {
    const { service, environment, events } = await threeVersions();
    damage(environment, table, 3);
    const error = await service.restoreCheckpoint('id').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CheckpointDamagedError);
    expect(error).toMatchObject({ id: 'id', version: 3, soundVersions: [2, 1] });
    expect(events.of('checkpoint')).toContainEqual({ action: 'damaged', id: 'id', version: 3 });
    await expect(service.getCheckpoint('id')).rejects.toBeInstanceOf(CheckpointDamagedError);
  });

  it('gives way to the newest sound version before it, if asked', async () => {
    const { service, environment } = await threeVersions();
    damage(environment, 'states', 3);
    damage(environment, 'states', 2);
    expect(await service.restoreCheckpoint('id', { fallback: true })).toMatchObject({ step: 1 });
    await expect(service.restoreCheckpoint('id', { version: 2 })).rejects.toMatchObject({ soundVersions: [1] });
    expect(await service.restoreCheckpoint('id', { version: 1 })).toMatchObject({ step: 1 });
  });

  it('gives nothing when nothing sound is left before it', async () => {
    const { service, environment } = await threeVersions();
    for (const version of [1, 2, 3]) damage(environment, 'states', version);
    expect(await service.restoreCheckpoint('id', { fallback: true })).toBeUndefined();
    await expect(service.restoreCheckpoint('id')).rejects.toMatchObject({ soundVersions: [] });
  });

  it('is kept aside until it is removed, and does not count among those that restore', async () => {
    const { service, environment } = checkpointsInMemory();
    await service.cacheCheckpoint('id', 'text');
    damage(environment, 'states', 1);
    await service.restoreCheckpoint('id').catch(() => undefined);
    expect(await service.getCheckpointCacheStatus()).toMatchObject({ cachedCheckpoints: 0, versions: 1 });
    expect(await service.history('id')).toHaveLength(1);
    expect(await service.invalidateCheckpoint('id')).toBe(1);
    expect(environment.table('damaged').rows).toEqual([]);
  });

  it('never makes a version be used twice', async () => {
    const { service, environment } = await threeVersions();
    await service.invalidateCheckpoint('id', 3);
    const [head] = environment.table('heads').rows;
    head?.value.set([255], 5);
    expect((await service.cacheCheckpoint('id', 4)).version).toBeGreaterThan(3);
    expect(await service.restoreCheckpoint('id', { version: 1 })).toMatchObject({ step: 1 });
  });

  it('never makes a position in the order of saving be used twice', async () => {
    const { service, environment } = await threeVersions();
    environment.table('store').rows[0]?.value.fill(0);
    await service.cacheCheckpoint('other', 1);
    expect((await service.list()).items.map(({ id, version }) => `${id} ${version}`)).toEqual([
      'other 1',
      'id 3',
      'id 2',
      'id 1',
    ]);
  });

  it('hides nothing that is saved in a workflow after it was invalidated', async () => {
    const { service, environment } = checkpointsInMemory();
    for (const id of 'abc') await service.cacheCheckpoint(id, 1, { workflow: 'w' });
    await service.invalidateWorkflow('w');
    environment.table('store').rows[0]?.value.fill(0);
    await service.cacheCheckpoint('d', 1, { workflow: 'w' });
    expect(await service.restoreCheckpoint('d')).toBe(1);
  });

  it('is reported even when the mark cannot be written', async () => {
    const { service, environment } = await threeVersions();
    damage(environment, 'states', 3);
    environment.failNext = new Error('no space');
    await expect(service.restoreCheckpoint('id')).rejects.toBeInstanceOf(CheckpointDamagedError);
  });
});

describe('a store', () => {
  it('refuses data of a newer release', async () => {
    const { service, environment } = checkpointsInMemory();
    await service.cacheCheckpoint('id', 1);
    const [row] = environment.table('store').rows;
    const { storeRow } = await import('../../../lib/checkpoints/local/checkpoint-tables.js');
    if (row !== undefined) row.value = storeRow.seal({ format: 2, sequence: 1 });
    expect(() => checkpointsOver(environment)).toThrow(expect.objectContaining({ code: 'FORMAT_UNSUPPORTED' }));
  });

  it('waits, after a commit of unknown fate, until that is settled', async () => {
    const { service, environment } = checkpointsInMemory();
    environment.failNext = new Error('too slow');
    await expect(service.cacheCheckpoint('id', 1)).rejects.toThrow('too slow');
    environment.failNext = new Error('still too slow');
    await expect(service.cacheCheckpoint('id', 1)).rejects.toThrow('still too slow');
    expect((await service.cacheCheckpoint('id', 2)).version).toBe(1);
    expect(environment.commits).toBe(2);
  });
});
