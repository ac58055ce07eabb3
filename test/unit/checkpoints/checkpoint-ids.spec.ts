import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { checkpointsOver } from '../../support/checkpoints.js';
import { StorageBench } from '../../support/storage.js';

const HOSTILE = [
  '../../x',
  '/etc/passwd',
  'data.mdb',
  '..',
  '\0',
  '\ud800',
  '__proto__',
  'constructor',
  'x'.repeat(1_024),
];

describe('ids and workflows on disk', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  it('are keys and never paths', async () => {
    const path = await bench.path('a/b/checkpoints');
    const { environment, report } = await bench.environment(path, { durability: 'durable', onMarkerLeft: 'probe' });
    const { service, store } = checkpointsOver(environment);
    const root = dirname(dirname(dirname(path)));
    const files = async () => (await readdir(root, { recursive: true })).toSorted();
    const before = await files();
    for (const id of HOSTILE) await service.cacheCheckpoint(id, { id }, { workflow: id, step: id, metadata: { id } });
    for (const id of HOSTILE) {
      expect(await service.restoreCheckpoint(id)).toEqual({ id });
      expect(await service.latest(id)).toMatchObject({ id, workflow: id, step: id });
      expect(await service.pin(id)).toBe(true);
      expect(await service.invalidateCheckpoint(id)).toBe(1);
    }
    expect(await files()).toEqual(before);
    await store.close();
    expect(report).toEqual({ faults: [], quarantines: [] });
  });
});
