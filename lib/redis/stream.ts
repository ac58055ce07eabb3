import type { SharedRecord } from '../invalidation/shared-log.js';
import type { RedisPort } from './redis-port.js';
import { listOf, numberOf, textOf, textsOf } from './replies.js';
import { readRecord } from './subject.js';

/** A record as it comes along the stream; `record` is undefined for one that a newer release has written. */
export interface Followed {
  readonly sequence: number;
  readonly record: (SharedRecord & { readonly by: string }) | undefined;
}

const AT_ONCE = 1_000;

/** Waits for records behind `after`, and gives none if there is none in time. */
export async function followStream(
  port: RedisPort,
  stream: string,
  after: number,
  wait: { readonly blockMs: number; readonly timeoutMs: number },
): Promise<readonly Followed[]> {
  const { blockMs, timeoutMs } = wait;
  const command = ['XREAD', 'COUNT', `${AT_ONCE}`, 'BLOCK', `${blockMs}`, 'STREAMS', stream, `${after}-0`];
  return recordsOf(await port.command(command, { timeoutMs }));
}

function recordsOf(reply: unknown): readonly Followed[] {
  if (reply === null || reply === undefined) return [];
  return entriesOf(reply).map((entry) => {
    const [id, fields] = listOf(entry);
    const flat = textsOf(fields);
    const named = new Map<string, string>();
    for (let at = 0; at + 1 < flat.length; at += 2) named.set(flat[at] ?? '', flat[at + 1] ?? '');
    return { sequence: numberOf(textOf(id).split('-')[0]), record: readRecord(named) };
  });
}

/** Clients give a map of streams as a Map, as an object, or as pairs; there is one stream. */
function entriesOf(reply: unknown): readonly unknown[] {
  if (reply instanceof Map) return listOf([...reply.values()][0]);
  if (!Array.isArray(reply)) return listOf(Object.values(Object(reply))[0]);
  const first: unknown = reply[0];
  if (Array.isArray(first)) return listOf(first[1]);
  return listOf(reply[1]);
}
