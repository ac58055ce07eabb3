import type { Heard } from './shared-log/applied-records.js';
import type { KeySpace } from './keys.js';
import { ENTRY_HEAD_BYTES, JUDGE } from './shared-log/scripts.js';
import { bytesOf, listOf, textsOf } from './client/redis-client.js';
import type { Session } from './client/connection.js';

/** An entry as the server has it. What was not heard of here has been judged there. */
export interface ServerEntry {
  readonly birth: number;
  /** By the server's clock, epoch ms. */
  readonly goneAt: number;
  readonly record: Buffer;
}

/** A look-up, and what becomes of it. */
export interface Wanted {
  readonly lane: string;
  readonly key: string;
  /** What it throws goes to `failed`. */
  found(entry: ServerEntry | undefined): void;
  failed(error: unknown): void;
}

/** The server serves nobody else meanwhile, so it is not asked for more than this at once. */
const AT_ONCE = 64;

/** Reads that are asked for in one step go out as one command: many keys in one trip. */
export class ReadBatches {
  private wanted: Wanted[] = [];

  constructor(
    private readonly keys: KeySpace,
    private readonly heard: Heard,
  ) {}

  read(session: Session, generation: string, wanted: Wanted): void {
    this.wanted.push(wanted);
    if (this.wanted.length === 1) queueMicrotask(() => void this.flush(session, generation));
    else if (this.wanted.length === AT_ONCE) void this.flush(session, generation);
  }

  private async flush(session: Session, generation: string): Promise<void> {
    const { wanted } = this;
    if (wanted.length === 0) return;
    this.wanted = [];
    const doubtful: Wanted[] = [];
    const ask = (): Promise<unknown> => session.command(['MGET', ...this.namesOf(generation, wanted)]);
    await answered(wanted, ask, (one, entry) => {
      if (entry === undefined || this.heard.knowsAllAfter(entry.birth)) settle(one, entry);
      else doubtful.push(one);
    });
    if (doubtful.length > 0) await answered(doubtful, () => this.judge(session, generation, doubtful), settle);
  }

  /** What is older than what was heard here is looked at again, and judged by the server. */
  private async judge(session: Session, generation: string, wanted: readonly Wanted[]): Promise<readonly unknown[]> {
    const names = [...this.keys.log, ...this.namesOf(generation, wanted)];
    const args = [generation, `${this.heard.patterns.known}`, ...wanted.map(({ lane }) => lane)];
    const reply = await session.run(JUDGE, names, args);
    const [patterns, ...entries] = Array.isArray(reply) ? listOf(reply) : [[]];
    this.heard.patterns.learnAll(textsOf(patterns));
    return entries;
  }

  private namesOf(generation: string, wanted: readonly Wanted[]): readonly string[] {
    return wanted.map(({ lane, key }) => this.keys.entry(generation, lane, key));
  }
}

/** Each look-up is given its entry, or all of them the error. */
async function answered(
  wanted: readonly Wanted[],
  ask: () => Promise<unknown>,
  give: (one: Wanted, entry: ServerEntry | undefined) => void,
): Promise<void> {
  let entries: readonly (ServerEntry | undefined)[];
  try {
    entries = listOf(await ask()).map(entryOf);
  } catch (error) {
    for (const one of wanted) one.failed(error);
    return;
  }
  for (const [at, one] of wanted.entries()) give(one, entries[at]);
}

function settle(one: Wanted, entry: ServerEntry | undefined): void {
  try {
    one.found(entry);
  } catch (error) {
    one.failed(error);
  }
}

function entryOf(reply: unknown): ServerEntry | undefined {
  if (reply === null || reply === undefined) return undefined;
  const bytes = bytesOf(reply);
  if (bytes.length < ENTRY_HEAD_BYTES) return undefined;
  return { birth: bytes.readDoubleBE(0), goneAt: bytes.readDoubleBE(8), record: recordIn(bytes) };
}

/** The record in an entry as it was laid; nothing in what is none. */
export function recordIn(entry: Buffer): Buffer {
  const tagsLength = entry.length < ENTRY_HEAD_BYTES ? 0 : entry.readUInt32BE(16);
  return entry.subarray(ENTRY_HEAD_BYTES + tagsLength);
}
