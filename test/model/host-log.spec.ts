import { describe, expect, it } from '@jest/globals';
import { keepsEveryPromise, roundsOf, SEED } from './harness/promises.js';
import { replay } from './harness/search.js';
import { MODEL } from './host-log/model.js';
import { SCRIPTS } from './host-log/scripts.js';

const RUNS = roundsOf({ quick: 40, share: 1 });

describe(`random interleavings of the processes of a directory, seed ${SEED}`, () => {
  it.each(Object.entries(MODEL.scenes))(
    'keep every promise: %s',
    (_name, scene) => keepsEveryPromise(MODEL, scene, RUNS),
    60_000 + RUNS * 60,
  );
});

describe('a race among the processes of a directory', () => {
  it.each(Object.entries(SCRIPTS))('breaks no promise: %s', async (_name, script) => {
    const { violation } = await replay(MODEL, MODEL.scenes.everything, script);
    expect(violation).toBeUndefined();
  });
});
