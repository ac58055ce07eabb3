import type { SharedRecord } from '../invalidation/shared-log.js';
import type { KeySpace } from './keys.js';
import { type RedisPort, listOf, numberOf, textOf, textsOf } from './client/redis-client.js';
import { readRecord } from './subject.js';

/** A record as it comes along the stream; `record` is undefined for one that a newer release has written. */
export interface Followed {
  readonly sequence: number;
  readonly record: (SharedRecord & { readonly by: string }) | undefined;
}

/** What came along both streams. */
export interface ReceivedRecords {
  readonly records: readonly Followed[];
  /** Names of leases that were given back. */
  readonly landed: readonly string[];
  /** Where to go on with them. */
  readonly landedAt: string;
}

/** From where to read on. */
export interface Heading {
  readonly sequence: number;
  readonly landedAt: string;
}

const AT_ONCE = 1_000;

/** Where the stream of leases ends now. Something else that lies in its place goes. */
export async function landedEnd(port: RedisPort, keys: KeySpace, timeoutMs: number): Promise<string> {
  try {
    const last = listOf(await port.command(['XREVRANGE', keys.landed, '+', '-', 'COUNT', '1'], { timeoutMs }));
    return last.length === 0 ? '0-0' : textOf(listOf(last[0])[0]);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('WRONGTYPE'))) throw error;
    await port.command(['DEL', keys.landed], { timeoutMs });
    return '0-0';
  }
}

/** Waits for what comes behind `from`, and gives nothing if nothing comes in time. */
export async function followStreams(
  port: RedisPort,
  keys: KeySpace,
  from: Heading,
  wait: { readonly blockMs: number; readonly timeoutMs: number },
): Promise<ReceivedRecords> {
  const { blockMs, timeoutMs } = wait;
  const command = ['XREAD', 'COUNT', `${AT_ONCE}`, 'BLOCK', `${blockMs}`, 'STREAMS'];
  const streams = [keys.stream, keys.landed, `${from.sequence}-0`, from.landedAt];
  const found = streamsOf(await port.command([...command, ...streams], { timeoutMs }));
  const landed = (found.get(keys.landed) ?? []).map(entryOf);
  return {
    records: (found.get(keys.stream) ?? []).map((entry) => recordOf(entryOf(entry))),
    landed: landed.map(({ fields }) => fields.get('lease') ?? ''),
    landedAt: landed.at(-1)?.id ?? from.landedAt,
  };
}

interface StreamEntry {
  readonly id: string;
  readonly fields: ReadonlyMap<string, string>;
}

function entryOf(entry: unknown): StreamEntry {
  const [id, list] = listOf(entry);
  const flat = textsOf(list);
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < flat.length; at += 2) fields.set(flat[at] ?? '', flat[at + 1] ?? '');
  return { id: textOf(id), fields };
}

function recordOf({ id, fields }: StreamEntry): Followed {
  return { sequence: numberOf(id.split('-')[0] ?? ''), record: readRecord(fields) };
}

/** Clients give a map of streams as a Map, as an object, as pairs, or as names and entries by turns. */
function streamsOf(reply: unknown): ReadonlyMap<string, readonly unknown[]> {
  if (reply === null || reply === undefined) return new Map();
  const pairs = reply instanceof Map ? [...reply] : Array.isArray(reply) ? pairsOf(reply) : Object.entries(reply);
  return new Map(pairs.map(([name, entries]) => [textOf(name), listOf(entries)]));
}

function pairsOf(reply: readonly unknown[]): readonly (readonly unknown[])[] {
  if (Array.isArray(reply[0])) return reply.map(listOf);
  return Array.from({ length: reply.length / 2 }, (_, at) => [reply[2 * at], reply[2 * at + 1]]);
}
