import type { Action } from './actions.js';

const at = (instance: number): { readonly instance: number; readonly lane: string } => ({ instance, lane: 'standard' });
const passes = (ms: number): Action => ({ do: 'time', ms });
const finish: Action = { do: 'finish', n: 0, outcome: 'ok' };
/** Among the names of the log, in the order in which a handshake makes them. */
const TAGS = 2;

/** The instance has computed the key, and the server has its entry. */
const computed = (instance: number, key: string): readonly Action[] => [
  { do: 'ask', at: at(instance), key, force: false },
  passes(50),
  finish,
  passes(50),
];

/**
 * Races that random walks come to too rarely, step by step: each shows what happens without the rule of its name.
 * Instance 1 has no disk.
 */
export const SCRIPTS: Readonly<Record<string, readonly Action[]>> = {
  // The server forgets which tags were invalidated. An instance that starts then has nothing else to judge by.
  'a key of the log is gone': [
    passes(300),
    ...computed(0, 'a'),
    { do: 'invalidate', at: at(0), kind: 'tag', subject: 't' },
    passes(1),
    { do: 'server', what: 'evict', n: TAGS },
    { do: 'kill', instance: 1 },
    { do: 'start', instance: 1 },
    passes(50),
    { do: 'get', at: at(1), key: 'a' },
    passes(50),
  ],
};
