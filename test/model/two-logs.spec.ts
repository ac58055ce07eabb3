import { describe, expect, it } from '@jest/globals';
import { keepsEveryPromise, roundsOf, SEED } from './harness/promises.js';
import { replay } from './harness/search.js';
import { MODEL } from './two-logs/model.js';
import { SCRIPTS } from './two-logs/scripts.js';

const RUNS = roundsOf({ quick: 12, share: 5 });

describe(`random interleavings of hosts that share a server, seed ${SEED}`, () => {
  it.each(Object.entries(MODEL.scenes))(
    'keep every promise: %s',
    (_name, scene) => keepsEveryPromise(MODEL, scene, RUNS),
    60_000 + RUNS * 300,
  );
});

describe('a race among hosts that share a server', () => {
  it.each(Object.entries(SCRIPTS))('breaks no promise: %s', async (_name, script) => {
    const { violation } = await replay(MODEL, MODEL.scenes.everything, script);
    expect(violation).toBeUndefined();
  });
});
