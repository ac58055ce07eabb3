import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { CheckpointService } from '../../lib/checkpoints/checkpoint-service.js';
import { isLaneCacheError } from '../../lib/errors/lane-cache.error.js';
import { roundsOf } from '../support/fault-table.js';
import { commands, compare } from '../support/checkpoint-commands.js';
import { Model } from '../support/checkpoint-model.js';
import { checkpointsInMemory } from '../support/checkpoints.js';
import { codePoint } from '../support/storable-values.js';

const codeUnit = fc.nat(0xffff).map((code) => String.fromCharCode(code));
const anyId = fc.oneof(fc.string({ unit: codePoint, maxLength: 300 }), fc.string({ unit: codeUnit, maxLength: 400 }));
const isValid = (id: string): boolean => id !== '' && Buffer.byteLength(id) <= 1_024;
const codeOf = (error: unknown): string => (isLaneCacheError(error) ? error.code : 'another error');

interface Call {
  readonly make: (service: CheckpointService) => Promise<unknown>;
  readonly toString: () => string;
}
const shown = (text: string, make: Call['make']): Call => ({ make, toString: () => text });
const name = fc.constantFrom('a', 'b');
const version = fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined });

/** A change by a caller. */
const call = fc.oneof(
  {
    arbitrary: fc
      .tuple(name, fc.nat())
      .map(([id, state]) => shown(`save ${id}`, (service) => service.cacheCheckpoint(id, state))),
    weight: 3,
  },
  fc
    .tuple(name, fc.nat(4))
    .map(([id, expectedVersion]) =>
      shown(`save ${id} over ${expectedVersion}`, (service) => service.cacheCheckpoint(id, {}, { expectedVersion })),
    ),
  fc
    .tuple(name, version)
    .map(([id, one]) => shown(`remove ${id} ${one}`, (service) => service.invalidateCheckpoint(id, one))),
  fc.tuple(name, version).map(([id, one]) => shown(`pin ${id} ${one}`, (service) => service.pin(id, one))),
  fc.tuple(name, version).map(([id, one]) => shown(`unpin ${id} ${one}`, (service) => service.unpin(id, one))),
);

describe('checkpoints, whatever is done to them', () => {
  it('are those that the promises name', async () => {
    const property = fc.asyncProperty(commands, async (all) => {
      await fc.asyncModelRun(() => ({ model: new Model(), real: checkpointsInMemory() }), [...all, compare]);
    });
    await expect(fc.assert(property, { numRuns: roundsOf(75, 150) })).resolves.toBeUndefined();
  });

  it('are the same whether calls wait for each other or not', async () => {
    const property = fc.asyncProperty(fc.array(fc.array(call), { maxLength: 6 }), async (rounds) => {
      const [together, apart] = [checkpointsInMemory(), checkpointsInMemory()];
      for (const calls of rounds) {
        const outcomes = await Promise.all(calls.map(({ make }) => make(together.service).catch(codeOf)));
        for (const [index, { make }] of calls.entries()) {
          expect(outcomes[index]).toEqual(await make(apart.service).catch(codeOf));
        }
        for (const id of ['a', 'b']) {
          expect(await together.service.restoreCheckpoint(id)).toEqual(await apart.service.restoreCheckpoint(id));
          expect(await together.service.history(id)).toEqual(await apart.service.history(id));
        }
      }
      const now = together.clock.now();
      expect(await together.store.usage(now)).toEqual(await apart.store.usage(now));
    });
    await expect(fc.assert(property, { numRuns: roundsOf(100, 300) })).resolves.toBeUndefined();
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
