import { describe, expect, it } from '@jest/globals';
import { SHARED_SCENES } from './shared-scenes.js';
import { searchShared, toldShared } from './shared-search.js';

/** A run has several instances, a server and seconds of their time in it. */
const SHARE = 5;
const ROUNDS = Math.ceil(Number(process.env['LANE_CACHE_ROUNDS'] ?? 125) / SHARE);
/** One walk that everybody can repeat; the long run walks elsewhere each time. */
const ANYWHERE = process.env['LANE_CACHE_ROUNDS'] === undefined ? 1 : Math.floor(Math.random() * 2 ** 31);
const SEED = Number(process.env['LANE_CACHE_SEED'] ?? ANYWHERE);

describe(`random interleavings of instances that share a log, seed ${SEED}`, () => {
  it.each(Object.entries(SHARED_SCENES))(
    'keep every promise: %s',
    async (_name, scene) => {
      const result = await searchShared(scene, { seed: SEED, runs: ROUNDS, shrink: 'shrink' });
      expect(result.found === undefined ? 'nothing wrong' : toldShared(result.found)).toBe('nothing wrong');
      expect(result.l1).toBeGreaterThan(0);
      expect(result.l4).toBeGreaterThan(0);
      expect(result.computed).toBeGreaterThan(0);
    },
    60_000 + ROUNDS * 200,
  );
});
