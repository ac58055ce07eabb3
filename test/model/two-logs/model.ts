import type { Model } from '../harness/model.js';
import { type Action, ActionDice, type Scene } from './actions.js';
import { OMISSIONS } from './rules.js';
import { SCENES } from './scenes.js';
import { World } from './world.js';

/** Hosts with several processes each, which share a log of their directory and that of a server. */
export const MODEL: Model<Scene, Action> = {
  scenes: SCENES,
  steps: 90,
  tallies: ['l1', 'l3', 'l4', 'computed'],
  omissions: OMISSIONS,
  draw: (scene, random) => {
    const dice = new ActionDice(random, scene);
    return () => dice.action();
  },
  world: (scene) => new World(scene),
};
