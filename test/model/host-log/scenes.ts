import type { Scene } from './actions.js';

/** What may happen in a run, from few things to all of them. */
export const SCENES = {
  'two processes': { processes: 2 },
  'values that are set': { processes: 2, sets: 0.12 },
  'owners that are killed': { processes: 3, kills: 0.08 },
  'processes that are stopped': { processes: 3, freezes: 0.1 },
  'many segments, and a disk that is full': { processes: 2, rotations: 0.06, faults: 0.05 },
  'a folder that is removed': { processes: 2, removals: 0.04 },
  'power cuts': { processes: 2, kills: 0.06, powerCuts: 0.03, rotations: 0.04 },
  everything: { processes: 3, kills: 0.04, freezes: 0.04, rotations: 0.03, faults: 0.02, powerCuts: 0.01, sets: 0.06 },
} as const satisfies Readonly<Record<string, Scene>>;

export type SceneName = keyof typeof SCENES;
