import { describe, expect, it } from '@jest/globals';
import { keepsEveryPromise, roundsOf, SEED } from './harness/promises.js';
import { replay } from './harness/search.js';
import { MODEL } from './shared-log/model.js';
import { SCRIPTS } from './shared-log/scripts.js';

const RUNS = roundsOf({ quick: 15, share: 5 });

describe(`random interleavings of instances that share a log, seed ${SEED}`, () => {
  it.each(Object.entries(MODEL.scenes))(
    'keep every promise: %s',
    (_name, scene) => keepsEveryPromise(MODEL, scene, RUNS),
    60_000 + RUNS * 200,
  );
});

describe('a race among instances that share a log', () => {
  it.each(Object.entries(SCRIPTS))('breaks no promise: %s', async (_name, script) => {
    const { violation } = await replay(MODEL, MODEL.scenes.everything, script);
    expect(violation).toBeUndefined();
  });
});
