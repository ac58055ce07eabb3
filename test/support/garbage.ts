import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { nextTurn } from '../../lib/clock/clock.js';

const TURNS = 8;

/** Collects what has been made lately and is not used any more. What is older stays. */
export function collectYoung(): void {
  collector()({ type: 'minor' });
}

/** Collects garbage, and lets its callbacks run, until it shows. */
export async function collected(shows: () => boolean): Promise<void> {
  const collect = collector();
  for (let turn = 0; turn < TURNS && !shows(); turn++) {
    collect();
    await nextTurn();
  }
}

function collector(): (options?: { readonly type: 'minor' }) => void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') throw new Error('garbage cannot be collected here');
  return (options) => void collect(options);
}
