import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isLaneCacheError } from '../../lib/errors/lane-cache.error.js';
import { commands, compare } from '../support/checkpoint-commands.js';
import { Model } from '../support/checkpoint-model.js';
import { checkpointsInMemory } from '../support/checkpoints.js';

const codeUnit = fc.nat(0xffff).map((code) => String.fromCharCode(code));
const anyId = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.string({ unit: codeUnit, maxLength: 400 }));
const isValid = (id: string): boolean => id !== '' && Buffer.byteLength(id) <= 1_024;
const codeOf = (error: unknown): string => (isLaneCacheError(error) ? error.code : 'another error');

describe('checkpoints, whatever is done to them', () => {
  it('are those that the promises name', async () => {
    const property = fc.asyncProperty(commands, async (all) => {
      await fc.asyncModelRun(() => ({ model: new Model(), real: checkpointsInMemory() }), [...all, compare]);
    });
    await expect(fc.assert(property, { numRuns: 150 })).resolves.toBeUndefined();
  });

  it('are kept apart by any id of up to 1 KB, and nothing else is an id', async () => {
    const property = fc.asyncProperty(fc.uniqueArray(anyId, { maxLength: 8 }), async (ids) => {
      const { service } = checkpointsInMemory();
      const saved = ids.map((id, index) => service.cacheCheckpoint(id, index).then(() => 'saved', codeOf));
      const outcomes = ids.map((id) => (isValid(id) ? 'saved' : 'CHECKPOINT_INVALID'));
      const found = ids.map((id, state) => (isValid(id) ? [{ id, state }] : [])).flat();
      expect(await Promise.all(saved)).toEqual(outcomes);
      for (const { id, state } of found) expect(await service.getCheckpoint(id)).toMatchObject({ id, state });
    });
    await expect(fc.assert(property)).resolves.toBeUndefined();
  });
});
