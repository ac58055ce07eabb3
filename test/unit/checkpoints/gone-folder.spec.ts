import { expect, it } from '@jest/globals';
import { LocalCheckpointStore } from '../../../lib/checkpoints/local/local-checkpoint-store.js';
import { ReadFaults } from '../../../lib/checkpoints/local/checkpoint-tables.js';
import { StorageFault } from '../../../lib/storage/environment.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { MemoryEnvironment } from '../../support/checkpoint-environment.js';
import { HeardEvents } from '../../support/checkpoints.js';

const DRAFT = { id: 'id', lane: 'standard', savedAt: 0, sizeBytes: 1, checksum: 'c' };

it('a folder that is gone is reported once, for any number of failed saves', async () => {
  const environment = new MemoryEnvironment();
  const reported: string[] = [];
  const store = new LocalCheckpointStore(environment, {
    clock: new FakeClock(),
    events: new HeardEvents(),
    faults: new ReadFaults(),
    gone: (detail) => reported.push(detail),
  });
  for (let n = 0; n < 3; n++) {
    environment.failNext = new StorageFault('gone', 'data.mdb was removed');
    await expect(store.save(DRAFT, Uint8Array.of(1))).rejects.toMatchObject({ kind: 'gone' });
  }
  expect(reported).toEqual(['data.mdb was removed']);
});
