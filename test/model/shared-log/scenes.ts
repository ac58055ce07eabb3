import { KEYS } from '../harness/model.js';
import type { Scene } from './actions.js';

const SCENE: Scene = {
  instances: 2,
  disks: [false, false, false],
  weathers: 0.06,
  weather: ['fast', 'fast', 'slow', 'slow', 'cut'],
  faults: 0,
  fault: ['copy'],
  kills: 0,
  onDisconnect: 'serve',
  trustPersistence: false,
  coalesce: 'process',
  keys: KEYS,
  kinds: ['key', 'key', 'key', 'tag', 'tag', 'pattern', 'all', 'expire', 'expire-tag'],
  times: [1, 50, 300, 1_300],
};

const rough = ['fast', 'fast', 'slow', 'slow', 'cut', 'cut', 'hole', 'down'] as const;

export const SCENES = {
  'two instances': SCENE,
  'three, badly connected': { ...SCENE, instances: 3, weathers: 0.1, weather: rough },
  'disks and restarts': { ...SCENE, disks: [true, false, true], instances: 3, kills: 0.06, weather: rough },
  'a server that loses its memory': {
    ...SCENE,
    disks: [true, false],
    faults: 0.06,
    fault: ['copy', 'copy', 'fail-over', 'fail-over', 'empty', 'restart'],
  },
  'a server that lets go': {
    ...SCENE,
    faults: 0.08,
    fault: ['trim', 'trim', 'evict', 'evict', 'evict', 'full', 'room'],
  },
  'a server that is trusted': {
    ...SCENE,
    disks: [true, false],
    trustPersistence: true,
    faults: 0.05,
    fault: ['restart', 'empty', 'trim'],
  },
  'served nothing while cut off': { ...SCENE, onDisconnect: 'bypass', weather: rough, times: [1, 50, 1_300] },
  'one computation for all': { ...SCENE, coalesce: 'cluster', instances: 3, weather: rough, times: [50, 300, 3_500] },
  'a cluster of three nodes': {
    ...SCENE,
    nodes: 3,
    instances: 3,
    disks: [true, false, false],
    weather: rough,
    faults: 0.08,
    fault: ['node-copy', 'node-copy', 'node-fail-over', 'node-fail-over', 'move', 'copy', 'fail-over'],
    kills: 0.03,
  },
  everything: {
    ...SCENE,
    instances: 3,
    disks: [true, false, true],
    weathers: 0.08,
    weather: rough,
    faults: 0.05,
    fault: ['copy', 'fail-over', 'empty', 'restart', 'trim', 'evict', 'full', 'room'],
    kills: 0.04,
    times: [1, 50, 300, 1_300, 7_000],
  },
} as const satisfies Readonly<Record<string, Scene>>;

export type SceneName = keyof typeof SCENES;
