import type { Action } from './actions.js';

const passes = (ms: number): Action => ({ do: 'time', ms });
const works = (process: number): Action => ({ do: 'work', process, n: 0, many: 16 });
const get = (process: number, key: string): readonly Action[] => [{ do: 'get', process, key }, passes(50)];

/** The process has computed the key, and the server has its entry. */
const computed = (process: number, key: string): readonly Action[] => [
  { do: 'ask', process, key },
  passes(50),
  { do: 'finish', n: 0 },
  passes(50),
];

/** The call resolves: the records are on the disk of its host, and on the server if that can be reached. */
const invalidated = (process: number, subject: string): readonly Action[] => [
  { do: 'invalidate', process, kind: 'key', subject },
  ...[works(process), passes(50), works(process), passes(50), works(process)],
];

/** An entry in L3 of the first host, that another host invalidates. The owner does not hear of it, the other process does. */
const heardByOneAlone: readonly Action[] = [
  ...computed(1, 'c'),
  ...[works(1), works(0), works(1), works(0), passes(200), works(0)],
  { do: 'weather', process: 0, weather: 'slow' },
  ...[{ do: 'invalidate', process: 2, kind: 'key', subject: 'c' } as const, passes(10), works(2), passes(10), works(2)],
  ...[passes(1_300), works(2)],
];

const cutOff: Action = { do: 'weather', process: 0, weather: 'down' };

/**
 * Races that random walks come to too rarely, step by step: each shows what happens without the rule of its name. Process 0
 * and 1 are of one host, and 0 owns its directory. Process 2 and 3 are of another.
 */
export const SCRIPTS: Readonly<Record<string, readonly Action[]>> = {
  // The owner alone cannot reach the server, where an entry lies that another host has stored.
  'a record of the host alone bars entries of the server': [
    ...computed(2, 'c'),
    ...[cutOff, passes(50)],
    ...invalidated(0, 'c'),
    ...get(1, 'c'),
  ],
  // The same, and a record of another host comes by the server.
  'a record of the server settles its own copy alone': [
    ...computed(2, 'c'),
    ...[cutOff, passes(50)],
    ...[{ do: 'invalidate', process: 0, kind: 'key', subject: 'c' } as const, works(0), passes(10), works(0), works(0)],
    // It looks at the log of the directory before each call.
    ...get(1, 'b'),
    ...[{ do: 'invalidate', process: 2, kind: 'key', subject: 'a' } as const, works(2), passes(10), works(2), works(2)],
    ...get(1, 'c'),
  ],
  // The same, and a process of the host starts after the record was appended to its log.
  'a process that starts knows what is unpublished': [
    ...computed(2, 'c'),
    ...[cutOff, passes(50), { do: 'kill', process: 1 } as const],
    ...invalidated(0, 'c'),
    ...[{ do: 'start', process: 1 } as const, passes(50)],
    ...get(1, 'c'),
  ],
  // The server has begun a new log, with smaller numbers, and one process does not know that yet. Nobody publishes the old ones again.
  'a place on the server is of its generation': [
    ...['a', 'b', 'a', 'b'].flatMap((key) => invalidated(2, key)),
    passes(16_000),
    ...computed(1, 'c'),
    ...[{ do: 'weather', process: 1, weather: 'slow' } as const, { do: 'server', what: 'empty' } as const, passes(600)],
    ...invalidated(0, 'c'),
    ...get(1, 'c'),
  ],
  'an answer of L3 carries its place on the server': [
    ...heardByOneAlone,
    ...[{ do: 'get', process: 1, key: 'c' } as const, works(1), works(0), works(1), works(0), works(1)],
  ],
  // A computation of a process that hears slowly ends after the owner has heard that another host has invalidated its key.
  'an offer carries its place on the server': [
    ...[{ do: 'ask', process: 1, key: 'c' } as const, works(1), works(0), works(1), passes(10)],
    { do: 'weather', process: 1, weather: 'slow' },
    ...[
      { do: 'invalidate', process: 2, kind: 'key', subject: 'c' } as const,
      passes(10),
      works(2),
      passes(10),
      works(2),
    ],
    ...[{ do: 'finish', n: 0 } as const, passes(10), { do: 'work', process: 0, n: 0, many: 4 } as const, passes(10)],
    ...[works(0), passes(1_300), works(0)],
    ...get(0, 'c'),
    works(0),
  ],
  'an owner carries out what L3 has missed': [
    ...heardByOneAlone,
    ...[{ do: 'kill', process: 0 } as const, { do: 'claim', process: 1 } as const, works(1), passes(10), works(1)],
    ...get(1, 'c'),
  ],
};
