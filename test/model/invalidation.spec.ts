import { describe, expect, it } from '@jest/globals';
import type { Scene } from './actions.js';
import { search, told } from './search.js';

const ROUNDS = Number(process.env['LANE_CACHE_ROUNDS'] ?? 400);
const SEED = Number(process.env['LANE_CACHE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

const SCENES: Readonly<Record<string, Scene>> = {
  'one process': { processes: 1, breaks: false, restarts: false, freshness: false, plain: true },
  'one process that is killed and started again': {
    ...{ processes: 1, breaks: false, restarts: true, freshness: false, plain: false },
  },
  'old values, timeouts and renewals': { processes: 1, breaks: false, restarts: true, freshness: true, plain: false },
  'tiers that break': { processes: 1, breaks: true, restarts: true, freshness: true, plain: false },
  'two processes, one disk': { processes: 2, breaks: false, restarts: true, freshness: false, plain: true },
  everything: { processes: 2, breaks: true, restarts: true, freshness: true, plain: false },
};

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
