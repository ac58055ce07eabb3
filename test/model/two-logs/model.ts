import type { Model } from '../harness/model.js';
import { type Action, TwoLogsDice, type Scene } from './actions.js';
import { OMISSIONS } from './rules.js';
import { SCENES } from './scenes.js';
import { World } from './world.js';

/** Hosts with several processes each, which share a log of their directory and that of a server. */
export const MODEL: Model<Scene, Action> = {
  scenes: SCENES,
  steps: 90,
  tallies: ['l1', 'l3', 'l4', 'computed'],
  omissions: OMISSIONS,
  dice: TwoLogsDice,
  world: (scene) => new World(scene),
};
