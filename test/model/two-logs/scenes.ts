import type { Scene } from './actions.js';

const SCENE: Scene = {
  hosts: [0, 0, 1],
  weathers: 0.06,
  weather: ['fast', 'fast', 'slow', 'slow', 'cut'],
  faults: 0,
  fault: ['trim'],
  kills: 0,
  sets: 0.02,
  kinds: ['key', 'key', 'key', 'tag', 'tag', 'pattern', 'all', 'expire', 'expire-tag'],
  times: [1, 50, 300, 1_300],
};

const rough = ['fast', 'fast', 'slow', 'slow', 'cut', 'deaf', 'down', 'down'] as const;

/** What may happen in a run, from few things to all of them. */
export const SCENES = {
  'two hosts': SCENE,
  'processes that are cut off alone': { ...SCENE, weathers: 0.1, weather: rough },
  'owners that are killed': { ...SCENE, hosts: [0, 0, 1, 1], kills: 0.06, weather: rough },
  everything: {
    ...SCENE,
    ...{ hosts: [0, 0, 1, 1], weathers: 0.08, weather: rough, kills: 0.03, sets: 0.05 },
    ...{ faults: 0.03, fault: ['trim', 'trim', 'restart', 'empty'] },
  },
} as const satisfies Readonly<Record<string, Scene>>;

export type SceneName = keyof typeof SCENES;
