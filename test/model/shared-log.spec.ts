import { describe, it } from '@jest/globals';
import { keepsEveryPromise, roundsOf, SEED } from './harness/promises.js';
import { MODEL } from './shared-log/model.js';

const RUNS = roundsOf({ quick: 15, share: 5 });

describe(`random interleavings of instances that share a log, seed ${SEED}`, () => {
  it.each(Object.entries(MODEL.scenes))(
    'keep every promise: %s',
    (_name, scene) => keepsEveryPromise(MODEL, scene, RUNS),
    60_000 + RUNS * 200,
  );
});
