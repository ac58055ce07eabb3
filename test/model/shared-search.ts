import { seededRandom } from '../../lib/testing/seeded-random.js';
import { SharedDice, type SharedAction, type SharedScene } from './shared-actions.js';
import { SharedWorld, type SharedTally } from './shared-world.js';

export interface SharedFound {
  readonly seed: number;
  readonly violation: string;
  readonly trace: readonly SharedAction[];
}

export interface SharedResult extends SharedTally {
  readonly runs: number;
  readonly found: SharedFound | undefined;
}

const STEPS = 90;

/** Runs a scene from seed to seed until something is wrong, and makes the trace that shows it as short as it can. */
export async function searchShared(
  scene: SharedScene,
  options: { readonly seed: number; readonly runs: number; readonly shrink: 'shrink' | 'as-found' },
): Promise<SharedResult> {
  const tally = { l1: 0, l3: 0, l4: 0, computed: 0 };
  for (let run = 0; run < options.runs; run++) {
    const seed = options.seed + run;
    const trace = sharedTraceOf(scene, seed);
    const world = await replayShared(scene, trace);
    for (const name of ['l1', 'l3', 'l4', 'computed'] as const) tally[name] += world.tally[name];
    if (world.violation === undefined) continue;
    const kind = world.violation.split(' ')[0] ?? '';
    const short = options.shrink === 'shrink' ? await shrink(scene, trace, kind) : trace;
    const violation = (await replayShared(scene, short)).violation ?? world.violation;
    return { runs: run + 1, found: { seed, violation, trace: short }, ...tally };
  }
  return { runs: options.runs, found: undefined, ...tally };
}

/** The steps of one seed. */
export function sharedTraceOf(scene: SharedScene, seed: number): readonly SharedAction[] {
  const random = seededRandom(seed);
  const dice = new SharedDice(random, scene);
  const length = 8 + Math.floor(random() * STEPS);
  return Array.from({ length }, () => dice.action());
}

export async function replayShared(scene: SharedScene, trace: readonly SharedAction[]): Promise<SharedWorld> {
  // how long a lost connection rests is drawn, and must come out alike each time
  const { random } = Math;
  Math.random = seededRandom(1);
  try {
    const world = new SharedWorld(scene);
    for (const action of trace) {
      await world.take(action);
      if (world.violation !== undefined) return world;
    }
    await world.finish();
    return world;
  } finally {
    Math.random = random;
  }
}

async function shrink(
  scene: SharedScene,
  trace: readonly SharedAction[],
  kind: string,
): Promise<readonly SharedAction[]> {
  let current = trace;
  for (let size = 16; size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < current.length;) {
      const without = [...current.slice(0, at), ...current.slice(at + size)];
      const { violation } = await replayShared(scene, without);
      if (violation?.split(' ')[0] === kind) current = without;
      else at += size;
    }
  }
  return current;
}

/** A trace as a person reads it. */
export function toldShared(found: SharedFound): string {
  const steps = found.trace.map((action) => `  ${JSON.stringify(action)}`);
  return [`seed ${found.seed}: ${found.violation}`, ...steps].join('\n');
}
