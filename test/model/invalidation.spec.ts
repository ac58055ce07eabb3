import { describe, it } from '@jest/globals';
import { keepsEveryPromise, roundsOf, SEED } from './harness/promises.js';
import { MODEL } from './process-log/model.js';

const RUNS = roundsOf({ quick: 60, share: 1 });

describe(`random interleavings in processes of one disk, seed ${SEED}`, () => {
  it.each(Object.entries(MODEL.scenes))(
    'keep every promise: %s',
    (_name, scene) => keepsEveryPromise(MODEL, scene, RUNS),
    60_000 + RUNS * 60,
  );
});
