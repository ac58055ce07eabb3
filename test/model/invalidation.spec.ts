import { describe, expect, it } from '@jest/globals';
import { SCENES } from './scenes.js';
import { search, told } from './search.js';

const ROUNDS = Number(process.env['LANE_CACHE_ROUNDS'] ?? 120);
/** One walk that everybody can repeat; the long run walks elsewhere each time. */
const ANYWHERE = process.env['LANE_CACHE_ROUNDS'] === undefined ? 1 : Math.floor(Math.random() * 2 ** 31);
const SEED = Number(process.env['LANE_CACHE_SEED'] ?? ANYWHERE);

describe(`random interleavings, seed ${SEED}`, () => {
  it.each(Object.entries(SCENES))(
    `keep every promise: %s`,
    async (_name, scene) => {
      const result = await search(scene, { seed: SEED, runs: ROUNDS, shrink: 'shrink' });
      expect(result.found === undefined ? 'nothing wrong' : told(result.found)).toBe('nothing wrong');
      expect(result.hits).toBeGreaterThan(0);
      expect(result.computed).toBeGreaterThan(0);
    },
    60_000 + ROUNDS * 60,
  );
});
