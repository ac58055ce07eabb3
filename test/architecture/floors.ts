import type { Source } from './source-tree.js';

/** Files that lie beside the rooms: the entry point and the module's wiring. */
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
  decorators: 8,
  http: 8,
  keyv: 8,
  operator: 8,
  housekeeping: 8,
  redis: 8,
  [FRONT_DOOR]: 9,
  health: 10,
  cli: 10,
  testing: 11,
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
