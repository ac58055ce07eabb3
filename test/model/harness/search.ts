import { seededRandom } from '../../../lib/testing/seeded-random.js';
import type { Model, ModelWorld } from './model.js';

export interface Found<Step> {
  readonly seed: number;
  readonly violation: string;
  readonly trace: readonly Step[];
}

export interface SearchResult<Step> {
  readonly runs: number;
  readonly found: Found<Step> | undefined;
  readonly tally: Readonly<Record<string, number>>;
}

export interface SearchOptions {
  readonly seed: number;
  readonly runs: number;
  readonly shrink: 'shrink' | 'as-found';
}

const SHORTEST = 8;

/** Runs a scene from seed to seed until a promise is broken, and makes the trace that shows it as short as it can. */
export async function search<Scene, Step>(
  model: Model<Scene, Step>,
  scene: Scene,
  { seed: first, runs, shrink }: SearchOptions,
): Promise<SearchResult<Step>> {
  const tally = Object.fromEntries(model.tallies.map((name) => [name, 0]));
  for (let run = 0; run < runs; run++) {
    const seed = first + run;
    const trace = traceOf(model, scene, seed);
    const world = await replay(model, scene, trace);
    for (const name of model.tallies) tally[name] = (tally[name] ?? 0) + (world.tally[name] ?? 0);
    if (world.violation === undefined) continue;
    const short = shrink === 'shrink' ? await shortened(model, scene, trace, promiseOf(world)) : trace;
    const violation = (await replay(model, scene, short)).violation ?? world.violation;
    return { runs: run + 1, found: { seed, violation, trace: short }, tally };
  }
  return { runs, found: undefined, tally };
}

/** The steps of one seed. */
export function traceOf<Scene, Step>(model: Model<Scene, Step>, scene: Scene, seed: number): readonly Step[] {
  const random = seededRandom(seed);
  const dice = new model.dice(random, scene);
  const length = SHORTEST + Math.floor(random() * model.steps);
  return Array.from({ length }, () => dice.action());
}

/** Takes the steps in a new world. The library's own chance is seeded, so that each replay goes the same way. */
export async function replay<Scene, Step>(
  model: Model<Scene, Step>,
  scene: Scene,
  trace: readonly Step[],
): Promise<ModelWorld<Step>> {
  const { random } = Math;
  Math.random = seededRandom(1);
  try {
    const world = model.world(scene);
    for (const step of trace) {
      await world.take(step);
      if (world.violation !== undefined) break;
    }
    if (world.violation === undefined) await world.finish();
    world.leave();
    return world;
  } finally {
    Math.random = random;
  }
}

async function shortened<Scene, Step>(
  model: Model<Scene, Step>,
  scene: Scene,
  trace: readonly Step[],
  promise: string,
): Promise<readonly Step[]> {
  let current = trace;
  for (let size = 16; size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < current.length;) {
      const without = [...current.slice(0, at), ...current.slice(at + size)];
      if (promiseOf(await replay(model, scene, without)) === promise) current = without;
      else at += size;
    }
  }
  return current;
}

const promiseOf = ({ violation }: ModelWorld<never>): string => violation?.split(' ')[0] ?? '';

/** A trace as a person reads it. */
export function asText<Step>({ seed, violation, trace }: Found<Step>): string {
  const steps = trace.map((step) => `  ${JSON.stringify(step)}`);
  return [`seed ${seed}: ${violation}`, ...steps].join('\n');
}
