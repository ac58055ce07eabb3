import type { Source } from './source-tree.js';

/** The entry point of the package, the only file beside the rooms. */
export const FRONT_DOOR = 'front door';

/** Imports point strictly down, so rooms of one floor don't know each other. */
export const FLOORS: Readonly<Record<string, number>> = {
  clock: 0,
  errors: 0,
  entries: 1,
  storage: 2,
  lanes: 2,
  events: 3,
  invalidation: 4,
  tiers: 5,
  checkpoints: 6,
  metrics: 6,
  cache: 7,
  benchmark: 8,
  decorators: 8,
  http: 8,
  keyv: 8,
  housekeeping: 8,
  redis: 8,
  ipc: 9,
  app: 10,
  module: 11,
  [FRONT_DOOR]: 12,
  health: 13,
  cli: 13,
  testing: 14,
};

export function roomOf(path: string): string {
  const [first = '', second] = path.split('/');
  return second === undefined ? FRONT_DOOR : first;
}

export function floorViolations(tree: readonly Source[]): readonly string[] {
  return tree.flatMap(({ path, imports }) => {
    const room = roomOf(path);
    if (FLOORS[room] === undefined) return [`${path}:1 lies in '${room}', a room without a floor`];
    return imports.flatMap(({ target, line }) => {
      const problem = target === undefined ? undefined : stepProblem(room, roomOf(target));
      return problem === undefined ? [] : [`${path}:${line} imports ${target}: ${problem}`];
    });
  });
}

function stepProblem(from: string, to: string): string | undefined {
  if (from === to) return undefined;
  const [here, there] = [FLOORS[from], FLOORS[to]];
  if (here === undefined || there === undefined) return `'${to}' is a room without a floor`;
  if (here === there) return `'${from}' and '${to}' are on the same floor`;
  return here > there ? undefined : `'${from}' is on floor ${here}, '${to}' above it on ${there}`;
}
