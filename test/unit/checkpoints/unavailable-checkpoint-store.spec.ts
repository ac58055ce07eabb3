import { describe, expect, it } from '@jest/globals';
import { UnavailableCheckpointStore } from '../../../lib/checkpoints/unavailable-checkpoint-store.js';
import { checkpointsInMemory } from '../../support/checkpoints.js';

describe('where checkpoints are unavailable', () => {
  const store = new UnavailableCheckpointStore('in-use', 'process 17 has them. Call from there.');
  const { service } = checkpointsInMemory({ store: () => store });

  it.each([
    ['a save', () => service.cacheCheckpoint('id', 1)],
    ['a restore', () => service.restoreCheckpoint('id')],
    ['a look', () => service.list()],
    ['a removal', () => service.invalidateCheckpoint('id')],
    ['a pin', () => service.pin('id')],
    ['a cleanup', () => service.cleanupOldCheckpoints()],
  ])('%s reports the cause and the remedy', async (_, call) => {
    await expect(call()).rejects.toMatchObject({
      code: 'CHECKPOINTS_UNAVAILABLE',
      message: 'Checkpoints are not available: process 17 has them. Call from there.',
    });
  });

  it('the status reports it without failing', async () => {
    expect(await service.getCheckpointCacheStatus()).toEqual({
      cachedCheckpoints: 0,
      versions: 0,
      bytes: 0,
      state: 'off',
      reason: 'in-use',
      lanes: {},
    });
  });
});
