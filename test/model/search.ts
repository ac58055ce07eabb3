import { seededRandom } from '../../lib/testing/seeded-random.js';
import { Dice, type Action, type Scene } from './actions.js';
import { World, type Tally } from './world.js';

export interface Found {
  readonly seed: number;
  readonly violation: string;
  readonly trace: readonly Action[];
}

export interface SearchResult extends Tally {
  readonly runs: number;
  readonly found: Found | undefined;
}

const STEPS = 70;

/** Runs a scene from seed to seed until something is wrong, and makes the trace that shows it as short as it can. */
export async function search(
  scene: Scene,
  options: { readonly seed: number; readonly runs: number; readonly shrink: 'shrink' | 'as-found' },
): Promise<SearchResult> {
  const tally = { hits: 0, computed: 0, stale: 0 };
  for (let run = 0; run < options.runs; run++) {
    const seed = options.seed + run;
    const trace = traceOf(scene, seed);
    const world = await replay(scene, trace);
    for (const name of ['hits', 'computed', 'stale'] as const) tally[name] += world.tally[name];
    if (world.violation === undefined) continue;
    const kind = world.violation.split(' ')[0] ?? '';
    const short = options.shrink === 'shrink' ? await shrink(scene, trace, kind) : trace;
    const violation = (await replay(scene, short)).violation ?? world.violation;
    return { runs: run + 1, found: { seed, violation, trace: short }, ...tally };
  }
  return { runs: options.runs, found: undefined, ...tally };
}

/** The steps of one seed. */
export function traceOf(scene: Scene, seed: number): readonly Action[] {
  const random = seededRandom(seed);
  const dice = new Dice(random, scene);
  const length = 8 + Math.floor(random() * STEPS);
  return Array.from({ length }, () => dice.action());
}

/** Takes the steps in a world of its own. */
export async function replay(scene: Scene, trace: readonly Action[]): Promise<World> {
  const world = new World(scene);
  for (const action of trace) {
    await world.take(action);
    if (world.violation !== undefined) break;
  }
  if (world.violation === undefined) await world.finish();
  world.leave();
  return world;
}

async function shrink(scene: Scene, trace: readonly Action[], kind: string): Promise<readonly Action[]> {
  let current = trace;
  for (let size = 8; size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < current.length;) {
      const without = [...current.slice(0, at), ...current.slice(at + size)];
      const violation = (await replay(scene, without)).violation;
      if (violation?.split(' ')[0] === kind) current = without;
      else at += size;
    }
  }
  return current;
}

/** A trace as a person reads it. */
export function told(found: Found): string {
  const steps = found.trace.map((action) => `  ${JSON.stringify(action)}`);
  return [`seed ${found.seed}: ${found.violation}`, ...steps].join('\n');
}
