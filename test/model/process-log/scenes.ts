import type { Scene } from './actions.js';

const SCENE: Scene = { processes: 1, breaks: false, restarts: false, freshness: false, plain: false };

export const SCENES = {
  'one process': { ...SCENE, plain: true },
  'forced computations': { ...SCENE, plain: true, only: 'forced', forces: 0.4 },
  'killed and started again': { ...SCENE, restarts: true },
  'old values, timeouts, renewals': { ...SCENE, restarts: true, freshness: true },
  'tiers that break': { ...SCENE, breaks: true, restarts: true, freshness: true },
  'two processes, one disk': { ...SCENE, processes: 2, restarts: true, plain: true },
  everything: { processes: 2, breaks: true, restarts: true, freshness: true, plain: false },
} as const satisfies Readonly<Record<string, Scene>>;

export type SceneName = keyof typeof SCENES;
