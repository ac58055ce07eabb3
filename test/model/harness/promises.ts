import { expect } from '@jest/globals';
import type { Model } from './model.js';
import { asText, search } from './search.js';

const ROUNDS = process.env['LANE_CACHE_ROUNDS'];

/** The same for everyone by default; the long run starts somewhere else each time. */
export const SEED = Number(
  process.env['LANE_CACHE_SEED'] ?? (ROUNDS === undefined ? 1 : Math.floor(Math.random() * 2 ** 31)),
);

/** How many runs a scene gets: `quick` by default. A run that costs `share` times as much gets so many fewer. */
export function roundsOf({ quick, share }: { readonly quick: number; readonly share: number }): number {
  return ROUNDS === undefined ? quick : Math.ceil(Number(ROUNDS) / share);
}

/** Fails with a short trace where a run breaks a promise, and where nothing happened that could have broken one. */
export async function keepsEveryPromise<Scene, Step>(
  model: Model<Scene, Step>,
  scene: Scene,
  runs: number,
): Promise<void> {
  const { found, tally } = await search(model, scene, { seed: SEED, runs, shrink: 'shrink' });
  expect(found === undefined ? 'every promise kept' : asText(found)).toBe('every promise kept');
  for (const name of model.tallies) expect([name, tally[name]]).not.toEqual([name, 0]);
}
