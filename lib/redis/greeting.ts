import { randomId } from '../clock/random.js';
import type { LogCursor } from '../invalidation/shared-log.js';
import type { KeySpace } from './keys.js';
import { GREET } from './log-scripts.js';
import { type RedisPort, listOf, numberOf, textOf, textsOf } from './client/redis-client.js';

/** How the shared log stands on the server. */
export interface Greeting {
  readonly cursor: LogCursor;
  /** Sequence number of the oldest record that can still be followed; 0 if there is none. */
  readonly oldest: number;
  /** Members and sequence numbers by turns. */
  readonly patterns: readonly string[];
  /** The server's clock, epoch ms. */
  readonly time: number;
}

export interface Greeted {
  readonly keys: KeySpace;
  readonly trustPersistence: boolean;
  readonly seen: LogCursor | undefined;
  readonly patternsKnown: number;
  readonly timeoutMs: number;
}

/** Asks how the log stands. A server whose history is not whole begins a new generation. */
export async function greet(port: RedisPort, greeted: Greeted): Promise<Greeting> {
  const { keys, trustPersistence, seen, patternsKnown, timeoutMs } = greeted;
  const known = [`${patternsKnown}`, seen?.generation ?? '', `${seen?.sequence ?? 0}`];
  const args = [randomId(), trustPersistence ? '1' : '0', ...known];
  const [generation, sequence, oldest, patterns, time] = listOf(await GREET.run(port, keys.log, args, timeoutMs));
  return {
    cursor: { generation: textOf(generation), sequence: numberOf(sequence) },
    oldest: numberOf(oldest),
    patterns: textsOf(patterns),
    time: numberOf(time),
  };
}
