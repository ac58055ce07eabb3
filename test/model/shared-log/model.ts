import type { Model } from '../harness/model.js';
import { type Action, SharedDice, type Scene } from './actions.js';
import { OMISSIONS } from './rules.js';
import { SCENES } from './scenes.js';
import { World } from './world.js';

/** The log that instances share through a server. */
export const MODEL: Model<Scene, Action> = {
  scenes: SCENES,
  steps: 90,
  tallies: ['l1', 'l4', 'computed'],
  omissions: OMISSIONS,
  dice: SharedDice,
  world: (scene) => new World(scene),
};
