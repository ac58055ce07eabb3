import type { Source } from './source-tree.js';

/** The entry point of the package, the only file beside the rooms. */
export const FRONT_DOOR = 'front door';

/** Imports point strictly down, so rooms of one floor don't know each other. */
export const FLOORS: Readonly<Record<string, number>> = {
  clock: 0,
  errors: 0,
  texts: 0,
  eviction: 0,
  options: 1,
  entries: 2,
  storage: 3,
  lanes: 3,
  events: 4,
  invalidation: 5,
  tiers: 6,
  checkpoints: 7,
  metrics: 7,
  cache: 8,
  benchmark: 9,
  decorators: 9,
  keyv: 9,
  housekeeping: 9,
  telemetry: 9,
  redis: 9,
  operations: 10,
  http: 11,
  ipc: 11,
  app: 12,
  dashboard: 12,
  module: 13,
  [FRONT_DOOR]: 14,
  health: 15,
  cli: 15,
  testing: 16,
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
