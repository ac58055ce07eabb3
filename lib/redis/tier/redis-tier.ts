import type { Subject } from '../../invalidation/shared-log.js';
import { DistributedTier } from '../../tiers/distributed-tier.js';
import type { TierLookup, TierRecord, TierState, TierUsage } from '../../tiers/tier.js';
import { type Asked, CUT_OFF, type EntryReader, LookUp, type LookUpParts, ReadBatches, recordIn } from './lookups.js';
import type { ClusterRouter } from '../client/cluster-router.js';
import type { SpreadEntries } from './spread-entries.js';
import type { CursorHistory } from '../shared-log/applied-records.js';
import type { KeySpace } from '../keys.js';
import { WRITE } from '../shared-log/scripts.js';
import type { RedisSharedLog } from '../shared-log/publisher.js';
import { bytesOf, listOf, textOf, textsOf } from '../client/redis-client.js';
import type { Connection } from '../client/connection.js';
import { keyMember, packTags } from '../shared-log/record-codec.js';

/** What a cluster has besides a server: a way to each node, and the entries that are spread over them. */
export interface Spread {
  readonly router: ClusterRouter;
  readonly entries: SpreadEntries;
}

export interface RedisTierOptions extends LookUpParts {
  readonly keys: KeySpace;
  /** Lanes that instances share. */
  readonly lanes: { has(lane: string): boolean };
  readonly life: { now(): number };
  readonly cursors: CursorHistory;
  readonly log: RedisSharedLog;
  /** Undefined where the entries lie beside the log. */
  readonly spread: Spread | undefined;
  /** The connection that has caught up. Undefined while disconnected. */
  readonly connection: () => Connection | undefined;
  readonly state: () => TierState;
  readonly close: () => Promise<void>;
}

const BY_POLICY: TierLookup = Object.freeze({ outcome: 'off', reason: 'policy' });
/** With more bytes on their way, entries are refused. */
const MOST_UNDER_WAY = 64 * 1024 ** 2;
/** With more look-ups on their way, nothing is asked. */
const MOST_LOOKUPS = 10_000;
/** How often a write is judged again by patterns that were unknown when it was sent. */
const JUDGED_AT_MOST = 3;

/** Entries in Redis. The server judges them by the shared log, this instance by the patterns. A failure is a miss. */
export class RedisTier extends DistributedTier {
  private readonly reads: EntryReader;
  private readonly writing = new Set<Promise<void>>();
  private bytesUnderWay = 0;
  private lookups = 0;

  constructor(private readonly options: RedisTierOptions) {
    super();
    this.reads = options.spread?.entries ?? new ReadBatches(options.keys, options.applied);
  }

  get state(): TierState {
    return this.options.state();
  }

  read(lane: string, key: string): TierLookup | Promise<TierLookup> {
    const { lanes, cursors, connection } = this.options;
    if (!lanes.has(lane)) return BY_POLICY;
    const current = connection();
    const cursor = cursors.current;
    if (current === undefined || !current.isSound || cursor === undefined) return CUT_OFF;
    return this.lookups >= MOST_LOOKUPS ? CUT_OFF : this.lookUp(current, cursor.generation, { lane, key });
  }

  offer(lane: string, record: TierRecord): 'queued' | 'backlog' | 'off' {
    if (!this.options.lanes.has(lane) || this.options.connection() === undefined) return 'off';
    if (this.bytesUnderWay + record.bytes.length > MOST_UNDER_WAY) return 'backlog';
    void this.write(lane, record);
    return 'queued';
  }

  write(lane: string, record: TierRecord): Promise<void> {
    const { connection, life, lanes } = this.options;
    const current = connection();
    const lifeMs = Math.floor(record.expiresAt - life.now());
    if (!lanes.has(lane) || current === undefined || lifeMs < 1) return Promise.resolve();
    if (this.goesWithItsRecord(lane, record, lifeMs)) return Promise.resolve();
    const { length } = record.bytes;
    this.bytesUnderWay += length;
    const written = this.send(current, lane, record, lifeMs)
      .catch((error: unknown) => this.options.failed(lane, error))
      .finally(() => {
        this.bytesUnderWay -= length;
        this.writing.delete(written);
      });
    this.writing.add(written);
    return written;
  }

  remove(lane: string, key: string): Promise<boolean> {
    return this.options.log.broadcast({ kind: 'key', lane, subject: key });
  }

  async removeMatching(lane: string, matches: (key: string, tags: readonly string[]) => boolean): Promise<number> {
    let gone = 0;
    for await (const { key, tags } of this.headers(lane)) {
      if (matches(key, tags) && (await this.remove(lane, key))) gone++;
    }
    return gone;
  }

  async clear(lane: string): Promise<void> {
    await this.options.log.broadcast({ kind: 'all', lane, subject: '*' });
  }

  usage(): TierUsage {
    return { entries: 0, sizeBytes: 0 };
  }

  async *keys(lane: string): AsyncGenerator<string> {
    for await (const { key } of this.headers(lane)) yield key;
  }

  /** The server expires entries by itself. */
  sweep(): Promise<{ readonly expired: number; readonly evicted: number }> {
    return Promise.resolve({ expired: 0, evicted: 0 });
  }

  async flush(): Promise<void> {
    await Promise.all([...this.writing, this.options.log.flush()]);
  }

  close(): Promise<void> {
    return this.options.close();
  }

  /** Creates one promise for each look-up, because there may be many at a time. */
  private lookUp(connection: Connection, generation: string, asked: Asked): Promise<TierLookup> {
    this.lookups++;
    return new Promise((resolve) => {
      const settle = (lookup: TierLookup): void => {
        this.lookups--;
        resolve(lookup);
      };
      this.reads.read(connection, generation, new LookUp(this.options, asked, settle));
    });
  }

  /** An explicit set is sent in one step with the record that supersedes the old value. */
  private goesWithItsRecord(lane: string, { key, tags, birth, bytes }: TierRecord, lifeMs: number): boolean {
    const { log, packing, cursors, applied } = this.options;
    const { current } = cursors;
    if (current === undefined) return false;
    const known = { sequence: current.sequence, patterns: applied.patterns.known };
    return log.attach(lane, key, birth, { lifeMs, tags, record: packing.packNow(lane, bytes), known });
  }

  private async send(connection: Connection, lane: string, record: TierRecord, lifeMs: number): Promise<void> {
    const { keys, cursors, applied, packing, spread } = this.options;
    const { patterns } = applied;
    const { key, tags } = record;
    const shared = cursors.at(record.birth);
    if (shared === undefined) return;
    const { generation, sequence: birth } = shared;
    const packed = await packing.pack(lane, record.bytes);
    if (spread !== undefined) {
      // Only readers decide whether it counts. What is known to be outdated is not sent.
      if (applied.matches({ lane, key, tags }, birth)) return;
      await spread.entries.write(generation, { lane, key, tags, birth, lifeMs, record: packed });
      return;
    }
    const names = [...keys.log, keys.entry(generation, lane, key)];
    const value = [lane, keyMember(lane, key), `${lifeMs}`, packTags(tags), packed];
    for (let judged = 0; judged < JUDGED_AT_MOST; judged++) {
      if (patterns.match({ lane, key, tags }, birth)) return;
      const args = [generation, `${birth}`, `${patterns.known}`, ...value];
      const reply = await connection.runInQueue(WRITE, names, args);
      if (!Array.isArray(reply)) return;
      patterns.learnAll(textsOf(reply));
    }
  }

  private async *headers(lane: string): AsyncGenerator<Pick<Subject, 'key' | 'tags'>> {
    const { connection, spread, lanes } = this.options;
    const current = connection();
    if (current === undefined || !lanes.has(lane)) return;
    // A scan may return a name twice, and a slot may move during it.
    const seen = new Set<string>();
    for (const node of spread?.router.masters ?? [current]) yield* this.headersOf(node, lane, seen);
  }

  private async *headersOf(
    node: { command(args: readonly string[]): Promise<unknown> },
    lane: string,
    seen: Set<string>,
  ): AsyncGenerator<Pick<Subject, 'key' | 'tags'>> {
    const { keys, cursors, connection, packing } = this.options;
    const ofLane = keys.entry(cursors.current?.generation ?? '', lane, '').slice(0, -1);
    for (let from = '0'; ;) {
      if (connection() === undefined) return;
      const [next, names] = listOf(
        await node.command(['SCAN', from, 'MATCH', `${globFor(ofLane)}[:#]*`, 'COUNT', '100']),
      );
      for (const name of textsOf(names)) {
        if (seen.has(name)) continue;
        seen.add(name);
        const entry = await node.command(['GET', name]).catch(() => null);
        const header = entry === null ? undefined : packing.header(lane, recordIn(bytesOf(entry)));
        if (header !== undefined) yield header;
      }
      from = textOf(next);
      if (from === '0') return;
    }
  }
}

const globFor = (text: string): string => text.replaceAll(/[\\*?[\]]/g, String.raw`\$&`);
