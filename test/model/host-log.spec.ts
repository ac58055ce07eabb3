import { describe, it } from '@jest/globals';
import { keepsEveryPromise, roundsOf, SEED } from './harness/promises.js';
import { MODEL } from './host-log/model.js';

const RUNS = roundsOf({ quick: 40, share: 1 });

describe(`random interleavings of the processes of a directory, seed ${SEED}`, () => {
  it.each(Object.entries(MODEL.scenes))(
    'keep every promise: %s',
    (_name, scene) => keepsEveryPromise(MODEL, scene, RUNS),
    60_000 + RUNS * 60,
  );
});
