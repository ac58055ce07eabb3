import type { Model } from '../harness/model.js';
import { type Action, ProcessDice, type Scene } from './actions.js';
import { OMISSIONS } from './rules.js';
import { SCENES } from './scenes.js';
import { World } from './world.js';

/** The log of one process, and of processes that take over its disk from each other. */
export const MODEL: Model<Scene, Action> = {
  scenes: SCENES,
  steps: 70,
  tallies: ['hits', 'computed'],
  omissions: OMISSIONS,
  dice: ProcessDice,
  world: (scene) => new World(scene),
};
