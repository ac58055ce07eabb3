import { describe, expect, it } from '@jest/globals';
import type { SaveOutcome } from '../../lib/checkpoints/checkpoint-store.js';
import { checkpointsInMemory, settle } from '../support/checkpoints.js';

const STATE = Uint8Array.of(1);

describe('saves within a step that expect a version', () => {
  it.each([undefined, 'import'])(
    'wait for another process that has met a conflict, in the workflow %p',
    async (workflow) => {
      const { service, store } = checkpointsInMemory();
      const other = {};
      const rules = workflow === undefined ? {} : { workflow };
      const saveOfOther = (expectedVersion: number): Promise<SaveOutcome> =>
        store.save(
          { id: 'rows', lane: 'standard', savedAt: 0, sizeBytes: 1, checksum: '', ...rules },
          STATE,
          { expectedVersion, ...(workflow !== undefined && { epoch: 0 }) },
          other,
        );
      const by: string[] = [];
      await service.runStep(
        'step',
        async () => {
          await service.cacheCheckpoint('rows', 0, { ...rules, expectedVersion: 0 });
          expect((await saveOfOther(0)).outcome).toBe('conflict');
          const own = service.cacheCheckpoint('rows', 1, { ...rules, expectedVersion: 1 }).then(
            () => by.push('step'),
            () => by.push('conflict'),
          );
          await settle();
          if ((await saveOfOther(1)).outcome === 'saved') by.push('other');
          await own;
        },
        rules,
      );
      expect(by).toEqual(['other', 'conflict']);
    },
  );
});
