import type { Action } from './actions.js';

const all = (process: number): Action => ({ do: 'work', process, n: 0, many: 60 });
const some = (process: number, many: number): Action => ({ do: 'work', process, n: 0, many });
const finish: Action = { do: 'finish', n: 0, outcome: 'ok' };
const invalidate = (process: number, subject: string): Action => ({ do: 'invalidate', process, kind: 'key', subject });

/** The process has computed the key, and has it in memory. */
const computed = (process: number): readonly Action[] => [
  { do: 'ask', process, key: 'c', force: false },
  ...[process, 1 - process, process].map(all),
  finish,
];
const restarted = (process: number): readonly Action[] => [
  { do: 'kill', process, how: 'at-once' },
  { do: 'start', process },
];

/**
 * Races that random walks come to too rarely, step by step: each shows what happens without the rule of its name. Process 0
 * owns L3. They need three processes.
 */
export const SCRIPTS: Readonly<Record<string, readonly Action[]>> = {
  // What was computed before a void arrives after it, with a place that the new history knows too.
  'an offer of another history is refused': [
    invalidate(0, 'a'),
    all(0),
    ...computed(1),
    { do: 'disk', what: 'refusing' },
    invalidate(2, 'c'),
    all(2),
    { do: 'disk', what: 'room' },
    invalidate(2, 'a'),
    all(2),
    { do: 'get', process: 0, key: 'a' },
    all(0),
  ],
  // The history that a process followed is gone, and with it what it would have heard.
  'a lost history drops everything': [
    ...computed(1),
    all(0),
    { do: 'disk', what: 'full' },
    invalidate(0, 'a'),
    some(0, 1),
    { do: 'disk', what: 'room' },
    invalidate(0, 'c'),
    all(0),
  ],
  // A record that the file does not take makes the history void. The file still looks sound to the others.
  'the old one is emptied': [
    ...computed(1),
    all(0),
    { do: 'disk', what: 'refusing' },
    invalidate(0, 'c'),
    all(0),
    { do: 'disk', what: 'room' },
  ],
  // A process begins at a segment that has ended, and that nobody has followed to its end yet.
  'never behind its end': [
    ...computed(0),
    { do: 'rotate', process: 0 },
    some(0, 1),
    ...restarted(1),
    invalidate(1, 'c'),
    all(1),
  ],
  // The power fails after a record in a new segment was synced, and its name was not.
  'a new name is synced': [
    ...computed(0),
    all(0),
    { do: 'rotate', process: 0 },
    all(0),
    { do: 'get', process: 0, key: 'a' },
    invalidate(1, 'c'),
    all(1),
    { do: 'power', unsynced: 'lost' },
    { do: 'start', process: 0 },
    { do: 'claim', process: 0 },
    all(0),
  ],
  // A record stands before the end of a segment that nobody has synced, and the power fails.
  'a segment is synced before its successor': [
    ...computed(0),
    all(0),
    invalidate(1, 'c'),
    some(1, 1),
    { do: 'rotate', process: 0 },
    some(0, 1),
    { do: 'get', process: 0, key: 'a' },
    some(1, 1),
    { do: 'power', unsynced: 'lost' },
    { do: 'start', process: 0 },
    { do: 'claim', process: 0 },
    all(0),
  ],
  // One process follows what was removed, another what is there now.
  'a removed folder is noticed': [
    { do: 'disk', what: 'removed' },
    ...restarted(1),
    ...computed(1),
    invalidate(0, 'c'),
    all(0),
  ],
};
