import type { Model } from '../harness/model.js';
import { type Action, HostDice, type Scene } from './actions.js';
import { OMISSIONS } from './rules.js';
import { SCENES } from './scenes.js';
import { World } from './world.js';

/** The log of the processes of one directory, and L3 that one of them owns. */
export const MODEL: Model<Scene, Action> = {
  scenes: SCENES,
  steps: 70,
  tallies: ['l1', 'l3', 'computed'],
  omissions: OMISSIONS,
  dice: HostDice,
  world: (scene) => new World(scene),
};
