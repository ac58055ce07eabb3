import type { GuardedTier } from '../cache/guarded-tier.js';
import type { LifeClock } from '../clock/clock.js';
import { type DecodedRecord, decodeRecord, encodeRecord } from '../entries/record.js';
import type { LaneEviction, RequestedEntry } from '../eviction/lane-eviction.js';
import type { HostLog } from '../invalidation/host-log.js';
import type { InvalidationLog } from '../invalidation/invalidation-log.js';
import type { LogCursor, SharedOrder, Standing, Subject } from '../invalidation/shared-log.js';
import type { TierLookup } from '../tiers/tier.js';
import {
  decodeHead,
  decodeNames,
  decodeOffer,
  decodeUsage,
  encodeFound,
  encodeHead,
  encodeUsage,
  type EntryName,
  type FoundEntry,
  type FrameHead,
  type LaneUsage,
  type Offer,
} from './entry-frames.js';

interface EntryServiceOptions {
  readonly l3: GuardedTier;
  readonly flush: () => Promise<void>;
  readonly log: InvalidationLog;
  readonly hostLog: HostLog;
  /** Absent without a server. */
  readonly sharedLog: SharedOrder | undefined;
  readonly life: LifeClock;
  /** Whether the holder of a turn may store: no other process has taken a turn of the key since. */
  readonly mayStore: (lane: string, key: string, turn: string) => boolean;
  /** Learns what other processes ask for and store, where a lane decides its evictions by that. */
  readonly evictionOf: (lane: string) => LaneEviction | undefined;
}

/** Answers one frame of another process. Throws for what is no such frame. */
export type FrameService = (body: Buffer, reply: (frame: Buffer) => void) => void;

/** So many keys of a listing are sent at a time. */
const KEYS_AT_ONCE = 256;
const MISS: FoundEntry = Object.freeze({ outcome: 'miss' });

/**
 * L3 of the owner, for the other processes of the directory. It judges by the log of the directory, which it follows to the
 * end before each answer, and by the server's log as far as it has followed that. Positions of other processes mean nothing
 * here, so what is offered takes the position of now.
 */
export class EntryService {
  /** What other processes have offered. */
  readonly offers = { taken: 0, refused: 0 };

  constructor(private readonly options: EntryServiceOptions) {}

  readonly serve: FrameService = (body, reply) => {
    const head = decodeHead(body);
    const { life, hostLog } = this.options;
    life.notBefore(head.time);
    hostLog.look();
    if (head.kind === 'read' || head.kind === 'peek') this.read(head, decodeNames(body), reply);
    else if (head.kind === 'offer') this.accept(head, decodeOffer(body));
    else if (head.kind === 'drop') for (const { lane, key } of decodeNames(body)) this.drop(lane, key);
    else if (head.kind === 'usage') reply(this.usageOf(head, decodeUsage(body)));
    else if (head.kind === 'sync')
      void this.options.flush().then(() => reply(encodeHead(this.headOf('synced', head.id))));
  };

  /** The keys of a lane, for another process that lists its entries. Those that do not count are left out when they are read. */
  async *keys(lane: string): AsyncGenerator<readonly string[]> {
    let some: string[] = [];
    for await (const key of this.options.l3.keys(lane)) {
      some.push(key);
      if (some.length < KEYS_AT_ONCE) continue;
      yield some;
      some = [];
    }
    yield some;
  }

  private usageOf(head: FrameHead, lanes: readonly LaneUsage[]): Buffer {
    const { l3 } = this.options;
    return encodeUsage(
      this.headOf('used', head.id),
      lanes.map(({ lane }) => ({ lane, ...l3.usage(lane) })),
    );
  }

  private drop(lane: string, key: string): void {
    const { l3, log } = this.options;
    l3.remove(lane, key).catch(() => {
      // A tier that cannot remove it serves nothing that is older. It may have been stored at the position of now.
      log.pass();
      l3.invalidateBefore(log.position);
    });
  }

  private read(head: FrameHead, entries: readonly EntryName[], reply: (frame: Buffer) => void): void {
    // What comes while the entries are read is not part of the answer.
    const server = this.options.sharedLog?.cursor;
    const how = head.kind === 'peek' ? 'peek' : 'read';
    const found = entries.map((entry) => this.find(entry, how));
    const answer = (all: readonly FoundEntry[]): void => reply(encodeFound(this.headOf('found', head.id, server), all));
    const isNow = (all: readonly (FoundEntry | Promise<FoundEntry>)[]): all is readonly FoundEntry[] =>
      !all.some((one) => one instanceof Promise);
    if (isNow(found)) answer(found);
    else void Promise.all(found.map(async (one) => one)).then(answer);
  }

  /** Never rejects. */
  private find({ lane, key }: EntryName, how: 'read' | 'peek'): FoundEntry | Promise<FoundEntry> {
    const { l3, log } = this.options;
    const lookup = l3.read(lane, key, how);
    if (!(lookup instanceof Promise)) return this.judge(lane, key, lookup, how);
    const guard = log.open({ lane, key, tags: [] });
    return lookup
      .then((found) =>
        guard.isInvalidated || guard.expiredAt !== undefined ? MISS : this.judge(lane, key, found, how),
      )
      .finally(() => log.close(guard));
  }

  private judge(lane: string, key: string, lookup: TierLookup, how: 'read' | 'peek'): FoundEntry {
    const { l3, log } = this.options;
    if (lookup.outcome !== 'hit') return { outcome: lookup.outcome };
    try {
      const record = lookup.record.opened ?? decodeRecord(lookup.record.bytes);
      const candidate = { lane, key, tags: record.tags, birth: record.birth };
      if (record.key !== key || !l3.trusts(record.birth) || !log.counts(candidate)) return MISS;
      const expiresAt = Math.min(record.expiresAt, log.expiredAt(candidate) ?? Infinity);
      if (how === 'read') this.options.evictionOf(lane)?.requested(requestedOf(record, lookup.record.bytes), 'found');
      return { outcome: 'hit', expiresAt, bytes: lookup.record.bytes };
    } catch {
      return MISS;
    }
  }

  /** Stores what is known to count still. Where that is not known, an older entry of the key may be there: it is removed. */
  private accept(head: FrameHead, { lane, turn, record: bytes }: Offer): void {
    const { l3, log, mayStore } = this.options;
    const record = decodeRecord(bytes);
    const { key, tags, staleUntil, computeMs } = record;
    const standing = this.standingOf(head, { lane, key, tags });
    // What the next holder stored is newer, and stays.
    const isStored = standing === 'counts' && (turn === '' || mayStore(lane, key, turn));
    this.offers[isStored ? 'taken' : 'refused']++;
    if (standing === 'unknown') this.drop(lane, key);
    if (!isStored) return;
    const birth = log.position;
    this.options.evictionOf(lane)?.requested(requestedOf(record, bytes), 'computed');
    l3.write(lane, { key, tags, birth, computeMs, expiresAt: staleUntil, bytes: encodeRecord({ ...record, birth }) });
  }

  /** An entry that is offered counts by both logs. */
  private standingOf(head: FrameHead, subject: Subject): Standing {
    const { hostLog, sharedLog } = this.options;
    const standing = hostLog.judge(head, subject);
    if (standing !== 'counts' || sharedLog === undefined) return standing;
    return head.server === undefined ? 'unknown' : sharedLog.judge(head.server, subject);
  }

  private headOf(kind: FrameHead['kind'], id: number, server?: LogCursor): FrameHead {
    const { hostLog, life } = this.options;
    const { generation, position } = hostLog.place ?? { generation: '00'.repeat(16), position: -1 };
    return { kind, id, generation, position, time: life.now(), server };
  }
}

/** The memory of this process has no part in it. */
function requestedOf({ key, computeMs, staleUntil }: DecodedRecord, bytes: Uint8Array): RequestedEntry {
  return { key, computeMs, expiresAt: staleUntil, memoryBytes: bytes.length, recordBytes: bytes.length };
}
