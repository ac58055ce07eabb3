import { type TierLookup, type TierRecord, FoundRecord } from '../../tiers/tier.js';
import type { AppliedInvalidations, HiddenEntries } from '../shared-log/applied-records.js';
import type { RecordEnvelope } from './record-envelope.js';
import type { ServerTime } from '../shared-log/freshness.js';
import { anyMatches, type OutgoingQueue, type OutgoingRecord } from '../shared-log/outgoing-queue.js';
import type { KeySpace } from '../keys.js';
import { ENTRY_HEAD_BYTES, JUDGE, readHead } from '../shared-log/scripts.js';
import { bytesOf, listOf, textsOf } from '../client/redis-client.js';
import type { Connection } from '../client/connection.js';
import { ifKnown, LocalRecord, RecordDamaged, type DecodedRecord } from '../../entries/record.js';
import { packTags } from '../shared-log/record-codec.js';

/** What a look-up needs to judge what it finds. */
export interface LookUpParts {
  readonly applied: AppliedInvalidations;
  readonly serverTime: ServerTime;
  readonly log: { readonly outgoing: OutgoingQueue; readonly hidden: HiddenEntries };
  readonly packing: RecordEnvelope;
  /** The position of this process's log. */
  readonly position: () => number;
  /** Called when a command was not answered, or not as expected. */
  readonly failed: (lane: string, error: unknown) => void;
}

export interface Asked {
  readonly lane: string;
  readonly key: string;
}

const MISS: TierLookup = Object.freeze({ outcome: 'miss' });
const UNREADABLE: TierLookup = Object.freeze({ outcome: 'unreadable' });
export const CUT_OFF: TierLookup = Object.freeze({ outcome: 'off', reason: 'disconnected' });

/** One running look-up. */
export class LookUp implements Wanted {
  readonly lane: string;
  readonly key: string;
  /**
   * An entry that is found counts as of now, so it takes the present position as its local birth. Own records that have
   * not been followed yet are judged here.
   */
  private readonly birth: number;
  private readonly unheard: readonly Pick<OutgoingRecord, 'record'>[];

  constructor(
    private readonly options: LookUpParts,
    { lane, key }: Asked,
    private readonly settle: (lookup: TierLookup) => void,
  ) {
    this.lane = lane;
    this.key = key;
    this.birth = options.position();
    this.unheard = options.log.outgoing.unheard;
  }

  found(entry: ServerEntry | undefined): void {
    if (entry === undefined) return this.settle(MISS);
    const record = ifKnown(() => this.open(entry));
    if (record === undefined) return this.settle(UNREADABLE);
    if (!(record instanceof Promise)) return this.judge(entry, record);
    record.then((opened) => this.judge(entry, opened)).catch((error: unknown) => this.failed(error));
  }

  failed(error: unknown): void {
    this.options.failed(this.lane, error);
    this.settle(CUT_OFF);
  }

  /** 'foreign': it was not sealed with our key. */
  private open({ goneAt, record: sealed }: ServerEntry): OwnRecord | 'foreign' | Promise<OwnRecord> {
    const { serverTime, packing } = this.options;
    const endsAt = serverTime.whenShows(goneAt);
    const record = packing.unpack(this.lane, sealed);
    if (record instanceof Promise) return record.then((opened) => new OwnRecord(opened, this.birth, endsAt));
    return record === undefined ? 'foreign' : new OwnRecord(record, this.birth, endsAt);
  }

  private judge(entry: ServerEntry, record: OwnRecord | 'foreign'): void {
    const { lane, key } = this;
    if (record === 'foreign' || record.key !== key) return this.settle(MISS);
    if (!hasTags(entry, record.tags))
      throw new RecordDamaged('The tags before the record are not those of the record.');
    const named = { lane, key, tags: record.tags };
    const { applied, log } = this.options;
    const isOutdated = applied.matches(named, entry.birth) || anyMatches(this.unheard, named);
    this.settle(isOutdated || log.hidden.hides(named, entry.birth) ? MISS : { outcome: 'hit', record: record.found });
  }
}

/** An entry as the server has it. The server has judged it by the records that this instance does not know. */
export interface ServerEntry {
  readonly birth: number;
  /** By the server's clock, epoch ms. */
  readonly goneAt: number;
  /** As scripts read them. */
  readonly tags: Buffer;
  readonly record: Buffer;
}

/** A look-up, and where its result goes. */
export interface Wanted {
  readonly lane: string;
  readonly key: string;
  /** What it throws goes to `failed`. */
  found(entry: ServerEntry | undefined): void;
  failed(error: unknown): void;
}

/** The server serves no other client during a command, so no command asks for more than this. */
const AT_ONCE = 64;

/** How look-ups get at the entries. */
export interface EntryReader {
  read(connection: Connection, generation: string, wanted: Wanted): void;
}

/** Sends the reads of one step as one command: many keys in one round trip. */
export class ReadBatches implements EntryReader {
  private wanted: Wanted[] = [];

  constructor(
    private readonly keys: KeySpace,
    private readonly applied: AppliedInvalidations,
  ) {}

  read(connection: Connection, generation: string, wanted: Wanted): void {
    this.wanted.push(wanted);
    if (this.wanted.length === 1) queueMicrotask(() => void this.flush(connection, generation));
    else if (this.wanted.length === AT_ONCE) void this.flush(connection, generation);
  }

  private async flush(connection: Connection, generation: string): Promise<void> {
    const { wanted } = this;
    if (wanted.length === 0) return;
    this.wanted = [];
    const doubtful: Wanted[] = [];
    const ask = (): Promise<unknown> => connection.read(this.namesOf(generation, wanted));
    await answered(wanted, ask, (one, entry) => {
      if (entry === undefined || this.applied.knowsAllAfter(entry.birth)) settleWith(one, entry);
      else doubtful.push(one);
    });
    if (doubtful.length > 0) await answered(doubtful, () => this.judge(connection, generation, doubtful), settleWith);
  }

  /** Entries that are older than what this instance has followed are judged by the server. */
  private async judge(
    connection: Connection,
    generation: string,
    wanted: readonly Wanted[],
  ): Promise<readonly unknown[]> {
    const entries = this.namesOf(generation, wanted);
    const args = [generation, `${this.applied.patterns.known}`, ...wanted.map(({ lane }) => lane)];
    const reply = await connection.run(JUDGE, [...this.keys.log, ...entries], args, entries);
    const [patterns, ...found] = Array.isArray(reply) ? listOf(reply) : [[]];
    this.applied.patterns.learnAll(textsOf(patterns));
    return found;
  }

  private namesOf(generation: string, wanted: readonly Wanted[]): readonly string[] {
    return wanted.map(({ lane, key }) => this.keys.entry(generation, lane, key));
  }
}

/** Gives each look-up its entry, or all of them the error. */
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

export function settleWith(one: Wanted, entry: ServerEntry | undefined): void {
  try {
    one.found(entry);
  } catch (error) {
    one.failed(error);
  }
}

/** Undefined for nothing, for what the library did not write, and for an entry whose head is damaged. */
export function entryOf(reply: unknown): ServerEntry | undefined {
  if (reply === null || reply === undefined) return undefined;
  const bytes = bytesOf(reply);
  const head = bytes.length < ENTRY_HEAD_BYTES ? undefined : readHead(bytes);
  if (head === undefined) return undefined;
  const record = recordIn(bytes);
  return { ...head, tags: bytes.subarray(ENTRY_HEAD_BYTES, bytes.length - record.length), record };
}

/** The server judges by the tags before the record, which has a checksum only over its own. */
const hasTags = (entry: ServerEntry, tags: readonly string[]): boolean =>
  tags.length === 0 ? entry.tags.length === 0 : packTags(tags).equals(entry.tags);

/** The record in an entry. Undefined if the value is no entry. */
export function recordIn(entry: Buffer): Buffer {
  const tagsLength = entry.length < ENTRY_HEAD_BYTES ? 0 : entry.readUInt32BE(16);
  return entry.subarray(ENTRY_HEAD_BYTES + tagsLength);
}

/**
 * A record of the server as this process keeps it: with a local birth, and a life that ends no later than on the server,
 * because clocks differ.
 */
export class OwnRecord extends LocalRecord {
  /** `goneAt` is when the server drops it (epoch ms). */
  constructor(record: DecodedRecord, birth: number, goneAt: number) {
    super(record, birth, Math.max(0, record.staleUntil - goneAt));
  }

  /** As a tier returns it. */
  get found(): TierRecord {
    return new FoundRecord(this);
  }
}
