import { type Clock, randomId } from '../../clock/clock.js';
import type { LogJournal } from '../../invalidation/journal.js';
import type { LogCursor, InvalidatedCache } from '../../invalidation/shared-log.js';
import type { CursorHistory, AppliedInvalidations } from './applied-records.js';
import type { KeySpace } from '../keys.js';
import { APPEND, APPEND_JUDGED, APPEND_SET, HANDSHAKE, JUDGE, JUDGE_SPREAD, WRITE } from './scripts.js';
import type { OutgoingRecord } from './outgoing-queue.js';
import type { RedisSharedLog } from './publisher.js';
import type { ServerTime } from './freshness.js';
import type { Connection } from '../client/connection.js';
import { authorOf, type FollowedRecord, memberOf, readRecord } from './record-codec.js';
import { type RedisPort, listOf, numberOf, textOf, textsOf } from '../client/redis-client.js';

interface LogSubscriberOptions {
  readonly keys: KeySpace;
  readonly clock: Clock;
  readonly trustPersistence: boolean;
  readonly log: RedisSharedLog;
  readonly cursors: CursorHistory;
  readonly applied: AppliedInvalidations;
  readonly serverTime: ServerTime;
  readonly life: { now(): number };
  readonly cache: InvalidatedCache;
  /** Absent if no lane takes turns. */
  readonly leases: { ended(names: readonly string[]): void } | undefined;
  /** The position of this process's log. */
  readonly position: () => number;
  readonly journal: () => LogJournal | undefined;
  /** Every record up to then (monotonic time) has been followed. */
  readonly caughtUp: (connection: Connection, asOf: number) => void;
}

const SCRIPTS_OF_THE_LOG = [APPEND, APPEND_SET, APPEND_JUDGED, JUDGE, JUDGE_SPREAD, WRITE];

/** How long the server holds a read without news. */
const POLL_MS = 300;
/**
 * When the state of the log is asked for: once nothing has shown for a while that it is still the same log, and now and then
 * in any case. It costs the server more than a read.
 */
const HANDSHAKE_MS = { unlessShown: 300, always: 2_000 };
/** Records that follow one another are gathered for so long before the next read: at first, and when they keep coming. */
const GATHER_MS = { first: 4, longest: 200 };
/** Records that come within this time of the last read keep coming. */
const SOON_MS = 50;
/** An instance without an answer for longer counts as disconnected. */
const HEARD_WITHIN_MS = 1_000;

/**
 * Follows the shared log record by record: each must be the next one. If records may have been missed, everything that was
 * stored before is dropped.
 */
export class LogSubscriber {
  /** Set when a record could not be made durable: a restart must not continue behind it. */
  private isUnsettled = false;
  private readonly settling = new Set<Promise<unknown>>();
  private storing: Promise<void> | undefined;
  private storeAgain = false;
  private storedAt: string | undefined;
  private handshakeAt = -Infinity;
  /** When a handshake, or records that were read, last showed that this log is still the one of the others. */
  private shownAt = -Infinity;
  /** Where the log ended when that was last known, until it has been reached. */
  private ahead: { readonly sequence: number; readonly asOf: number } | undefined;
  /** The newest record on the server at the last handshake. */
  private newest = 0;
  private gatherMs = GATHER_MS.first;
  private endGathering: () => void = () => undefined;

  constructor(private readonly options: LogSubscriberOptions) {
    options.log.onAppended((record, cursor) => this.appended(record, cursor));
  }

  /** Follows until the connection fails, and rejects with its failure. */
  async follow(connection: Connection): Promise<never> {
    // A server that wants a password answers a long command with a protocol error, so the handshake is not the first one.
    const [, handshake] = await Promise.all([this.teach(connection), this.handshake(connection)]);
    const { log } = this.options;
    this.handshakeAt = -Infinity;
    this.ahead = undefined;
    const { keys, leases } = this.options;
    this.storedAt = leases && (await releasedEnd(connection.reader, keys, HEARD_WITHIN_MS));
    this.catchUp(handshake);
    log.stateKnown(handshake.question);
    await log.connect({ connection, generation: handshake.cursor.generation });
    // The first read shows whether this instance is up to date, so it does not wait for news.
    const { clock } = this.options;
    for (let blockMs = 1; ;) {
      const beganAt = clock.monotonic();
      const found = await Promise.race([connection.failure, this.poll(connection, blockMs)]);
      // A process that was held up reads again at once.
      const tookMs = clock.monotonic() - beganAt;
      blockMs = tookMs > HEARD_WITHIN_MS ? 1 : POLL_MS;
      void log.resend();
      if (tookMs >= SOON_MS) this.gatherMs = GATHER_MS.first;
      if (found > 0 && found < AT_ONCE) await Promise.race([connection.failure, this.gather()]);
    }
  }

  /** Lets more records come, unless a caller waits for one of this process to come back. Each read costs the server. */
  private gather(): Promise<void> {
    const { clock, log } = this.options;
    const { gatherMs } = this;
    this.gatherMs = Math.min(2 * gatherMs, GATHER_MS.longest);
    if (log.isAwaitingEcho) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = clock.schedule(gatherMs, resolve);
      this.endGathering = () => {
        cancel();
        resolve();
      };
    });
  }

  /** This process has become the owner of a persistent tier whose records it has not followed. */
  async takenOver(): Promise<void> {
    const { cursors, cache, journal, log } = this.options;
    const { current } = cursors;
    // A process that has not met the log yet begins where the tier ends.
    if (current === undefined) return;
    const stored = journal()?.initial.cursor;
    const missed = stored && log.recent.since({ generation: stored.generation, position: stored.sequence });
    if (missed === undefined) await this.drop(current);
    else {
      for (const record of missed) this.settle(cache.apply(record));
      this.storeCursor();
    }
    cache.release();
  }

  /** The server has appended a record of this process. If it is the next one, it need not be read. */
  private appended(record: OutgoingRecord, cursor: LogCursor): void {
    const { cursors, log } = this.options;
    const before = cursors.current;
    const isNext = before?.generation === cursor.generation && before.sequence + 1 === cursor.sequence;
    if (!isNext || record.by !== log.by) return this.endGathering();
    this.apply(record, cursor);
    log.followedTo(cursor.sequence);
    this.storeCursor();
  }

  /** Loads the scripts, so that a burst of first commands does not carry their texts. */
  private async teach({ reader }: Connection): Promise<void> {
    await Promise.all(SCRIPTS_OF_THE_LOG.map((script) => script.load(reader, HEARD_WITHIN_MS)));
  }

  /** Where this process is in the log: as far as it has followed it, or as its persistent tier was left. */
  private get seen(): LogCursor | undefined {
    return this.options.cursors.current ?? this.options.journal()?.initial.cursor;
  }

  private async handshake(connection: Connection): Promise<NumberedHandshake> {
    const { seen } = this;
    const { keys, trustPersistence, applied, life, serverTime, log } = this.options;
    const question = log.outgoing.ofHost.asked();
    const patternsKnown = applied.patterns.known;
    const askedAt = life.now();
    const params = { keys, trustPersistence, seen, patternsKnown, timeoutMs: HEARD_WITHIN_MS };
    const handshake = await shakeHandsWith(connection.reader, params);
    serverTime.observe(askedAt, handshake.time, life.now());
    this.newest = handshake.cursor.sequence;
    return { ...handshake, question };
  }

  /** Continues where this process was, if the server's log goes back that far; else from now. */
  private catchUp(handshake: Handshake): void {
    const { cursors, cache, applied } = this.options;
    const { cursor, oldest } = handshake;
    const { seen } = this;
    const isReachable = seen !== undefined && reaches(seen, cursor, oldest);
    if (seen?.generation !== cursor.generation) applied.patterns.forget();
    applied.patterns.learnAll(handshake.patterns);
    if (!isReachable) void this.drop(cursor);
    else if (cursors.current === undefined) {
      cache.pass();
      this.beginAt(seen);
    }
  }

  /** Reads once, together with a handshake if the last one is too old. Resolves to the number of records. */
  private async poll(connection: Connection, idleMs: number): Promise<number> {
    const { cursors, log, leases, applied } = this.options;
    const before = cursors.current;
    if (before === undefined) throw new Error('there was no handshake yet');
    const { beganAt, blockMs, handshake, records, released } = await this.read(connection, before, idleMs);
    leases?.ended(released);
    if (handshake !== undefined && handshake.cursor.generation !== before.generation) {
      await this.beginGeneration(connection, handshake);
      log.stateKnown(handshake.question);
      return 0;
    }
    // What is skipped may be a pattern.
    if (handshake !== undefined) applied.patterns.learnAll(handshake.patterns);
    const wasWhole = records.every((one) => this.take(one, handshake));
    const isQuiet = records.length + released.length === 0;
    if (handshake !== undefined) {
      const { cursor } = handshake;
      if (wasWhole && records.length === 0 && this.reached < cursor.sequence) void this.drop(cursor);
      // An empty answer means that nothing was published while the server waited.
      this.ahead = { sequence: cursor.sequence, asOf: isQuiet ? beganAt + blockMs : beganAt };
      log.stateKnown(handshake.question);
    }
    // The server read these after `beganAt`, to the end of its log, and they belong to this one.
    if (wasWhole && records.length > 0 && records.length < AT_ONCE) {
      this.shownAt = beganAt;
      this.ahead = { sequence: this.reached, asOf: beganAt };
    }
    log.followedTo(this.reached);
    if (records.length > 0) this.storeCursor();
    this.reportCaughtUp(connection);
    return records.length;
  }

  /** Waits for records up to `idleMs`, or until a handshake is due. A due handshake is made at the same time. */
  private async read(connection: Connection, from: LogCursor, idleMs: number): Promise<PolledRecords> {
    const { clock, keys } = this.options;
    const beganAt = clock.monotonic();
    const dueAt = Math.min(this.shownAt + HANDSHAKE_MS.unlessShown, this.handshakeAt + HANDSHAKE_MS.always);
    const untilDueMs = Math.ceil(dueAt - beganAt);
    const isDue = untilDueMs <= 1;
    if (isDue) this.shownAt = this.handshakeAt = beganAt;
    const blockMs = isDue ? idleMs : Math.min(idleMs, untilDueMs);
    const heading = { sequence: from.sequence, storedAt: this.storedAt };
    const [handshake, { records, released, storedAt }] = await Promise.all([
      isDue ? this.handshake(connection) : undefined,
      followStreams(connection.reader, keys, heading, { blockMs, timeoutMs: HEARD_WITHIN_MS }),
    ]).catch((error: unknown) => {
      connection.fail(error instanceof Error ? error : new Error(String(error)));
      throw error;
    });
    this.storedAt = storedAt;
    return { beganAt, blockMs, handshake, records, released };
  }

  /** Resolves when it is stored how far the log was followed. */
  async stored(): Promise<void> {
    await this.storing;
  }

  /** How many records the server is known to have that were not followed. */
  get behind(): number {
    return Math.max(0, this.newest - this.reached);
  }

  private get reached(): number {
    return this.options.cursors.current?.sequence ?? 0;
  }

  /** An empty read does not show that this log is still the one of the others. A handshake does, and so do its records. */
  private reportCaughtUp(connection: Connection): void {
    const { ahead } = this;
    if (ahead === undefined || this.reached < ahead.sequence) return;
    this.ahead = undefined;
    this.options.caughtUp(connection, ahead.asOf);
  }

  private async beginGeneration(connection: Connection, { cursor, patterns }: Handshake): Promise<void> {
    const { applied, log } = this.options;
    applied.patterns.forget();
    applied.patterns.learnAll(patterns);
    void this.drop(cursor);
    await log.connect({ connection, generation: cursor.generation });
  }

  /** Follows one record. false if it was not the next one, and everything was dropped. */
  private take({ sequence, record }: Followed, handshake: Handshake | undefined): boolean {
    const before = this.options.cursors.current;
    const isOfThisLog = before !== undefined && record?.generation === before.generation;
    // A record of this process that was followed when the server took it.
    if (isOfThisLog && sequence <= before.sequence) return true;
    if (!isOfThisLog || sequence !== before.sequence + 1) {
      const generation = handshake?.cursor.generation ?? before?.generation ?? '';
      void this.drop({ generation, sequence: Math.max(sequence, handshake?.cursor.sequence ?? 0) });
      // Whether this is still the same log is asked at once.
      this.handshakeAt = -Infinity;
      return false;
    }
    this.apply({ record, id: record.id }, { generation: before.generation, sequence });
    return true;
  }

  private apply({ record, id }: Pick<OutgoingRecord, 'record' | 'id'>, cursor: LogCursor): void {
    const { cursors, cache, position, log, applied } = this.options;
    const by = authorOf(id);
    const follow = (): Promise<void> => {
      const work = cache.apply(record);
      this.settle(work);
      return work;
    };
    if (by === log.by || !log.outgoing.ofHost.onServer(record, id, follow)) cache.pass();
    applied.apply(record, cursor.sequence);
    log.recent.add({ position: cursor.sequence }, record, by);
    if (record.kind === 'pattern') applied.patterns.learn(memberOf(record), cursor.sequence);
    cursors.note(position(), cursor);
  }

  /** Drops everything in one step, and continues from `cursor`. */
  private drop(cursor: LogCursor): Promise<void> {
    const dropped = this.options.cache.drop();
    this.beginAt(cursor);
    this.settle(dropped);
    this.storeCursor();
    return dropped.catch(() => undefined);
  }

  /** Of what was before, nothing is known. */
  private beginAt(cursor: LogCursor): void {
    const { cursors, position, applied, log } = this.options;
    applied.beginAt(cursor.sequence);
    log.recent.restart({ generation: cursor.generation, position: cursor.sequence });
    cursors.note(position(), cursor);
  }

  private settle(work: Promise<unknown>): void {
    this.settling.add(work);
    work.then(
      () => this.settling.delete(work),
      () => {
        this.isUnsettled = true;
        this.settling.delete(work);
      },
    );
  }

  /** Stores how far the log was followed, after everything that following it has changed. */
  private storeCursor(): void {
    this.storeAgain = true;
    this.storing ??= this.store().finally(() => (this.storing = undefined));
  }

  private async store(): Promise<void> {
    while (this.storeAgain) {
      this.storeAgain = false;
      const { cursors, journal, log } = this.options;
      const cursor = cursors.current;
      await Promise.allSettled([...this.settling, ...log.local]);
      if (cursor === undefined || this.isUnsettled) return;
      await journal()
        ?.append([{ row: 'cursor', ...cursor }])
        .catch(() => undefined);
    }
  }
}

/** Whether every record after `seen` can still be followed. */
function reaches(seen: LogCursor, cursor: LogCursor, oldest: number): boolean {
  if (seen.generation !== cursor.generation || seen.sequence > cursor.sequence) return false;
  return seen.sequence === cursor.sequence || (oldest > 0 && oldest <= seen.sequence + 1);
}

/** A record as it is read from the stream. `record` is undefined if a newer release has written it. */
interface Followed {
  readonly sequence: number;
  readonly record: FollowedRecord | undefined;
}

/** What was read from both streams. */
interface ReceivedRecords {
  readonly records: readonly Followed[];
  /** Names of leases that were released. */
  readonly released: readonly string[];
  /** Where to continue reading them. */
  readonly storedAt: string | undefined;
}

/** What one poll of the server brought. */
interface PolledRecords extends Omit<ReceivedRecords, 'storedAt'> {
  /** Monotonic ms. */
  readonly beganAt: number;
  /** How long the server waited for records at most. */
  readonly blockMs: number;
  /** Undefined if none was due. */
  readonly handshake: NumberedHandshake | undefined;
}

/** Where to continue reading. */
interface Heading {
  readonly sequence: number;
  /** Undefined where leases are not followed. */
  readonly storedAt: string | undefined;
}

const AT_ONCE = 1_000;

/** Where the stream of leases ends now. A value of another type under its name is deleted. */
async function releasedEnd(port: RedisPort, keys: KeySpace, timeoutMs: number): Promise<string> {
  try {
    const last = listOf(await port.command(['XREVRANGE', keys.released, '+', '-', 'COUNT', '1'], { timeoutMs }));
    return last.length === 0 ? '0-0' : textOf(listOf(last[0])[0]);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('WRONGTYPE'))) throw error;
    await port.command(['DEL', keys.released], { timeoutMs });
    return '0-0';
  }
}

/** Waits for what comes after `from`. Empty if nothing comes in time. */
async function followStreams(
  port: RedisPort,
  keys: KeySpace,
  from: Heading,
  wait: { readonly blockMs: number; readonly timeoutMs: number },
): Promise<ReceivedRecords> {
  const { blockMs, timeoutMs } = wait;
  const command = ['XREAD', 'COUNT', `${AT_ONCE}`, 'BLOCK', `${blockMs}`, 'STREAMS'];
  const heading = `${from.sequence}-0`;
  const streams =
    from.storedAt === undefined ? [keys.stream, heading] : [keys.stream, keys.released, heading, from.storedAt];
  const found = streamsOf(await port.command([...command, ...streams], { timeoutMs }));
  const released = entriesIn(found, keys.released);
  return {
    records: entriesIn(found, keys.stream).map(recordOf),
    released: released.map(({ fields }) => fields.get('lease') ?? ''),
    storedAt: released.at(-1)?.id ?? from.storedAt,
  };
}

interface StreamEntry {
  readonly id: string;
  readonly fields: ReadonlyMap<string, string>;
}

/** The server names the streams as it knows them: with what a client of ioredis puts before each name (`keyPrefix`). */
function entriesIn(streams: ReadonlyMap<string, readonly unknown[]>, name: string): readonly StreamEntry[] {
  const [, entries = []] = [...streams].find(([known]) => known.endsWith(name)) ?? [];
  return entries.map(entryOf);
}

function entryOf(entry: unknown): StreamEntry {
  const [id, list] = listOf(entry);
  const flat = textsOf(list);
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < flat.length; at += 2) fields.set(flat[at] ?? '', flat[at + 1] ?? '');
  return { id: textOf(id), fields };
}

function recordOf({ id, fields }: StreamEntry): Followed {
  return { sequence: numberOf(id.split('-')[0] ?? ''), record: readRecord(fields.get('record') ?? '') };
}

/** Clients return a map of streams as a Map, an object, pairs, or alternating names and entries. */
function streamsOf(reply: unknown): ReadonlyMap<string, readonly unknown[]> {
  if (reply === null || reply === undefined) return new Map();
  const pairs = reply instanceof Map ? [...reply] : Array.isArray(reply) ? pairsOf(reply) : Object.entries(reply);
  return new Map(pairs.map(([name, entries]) => [textOf(name), listOf(entries)]));
}

function pairsOf(reply: readonly unknown[]): readonly (readonly unknown[])[] {
  if (Array.isArray(reply[0])) return reply.map(listOf);
  return Array.from({ length: reply.length / 2 }, (_, at) => [reply[2 * at], reply[2 * at + 1]]);
}

/** The state of the shared log on the server. */
export interface Handshake {
  readonly cursor: LogCursor;
  /** Sequence number of the oldest record that can still be followed. 0 if there is none. */
  readonly oldest: number;
  /** Alternating members and sequence numbers. */
  readonly patterns: readonly string[];
  /** The server's clock, epoch ms. */
  readonly time: number;
}

/** With the number by which records of the host's log know what it was asked after. */
interface NumberedHandshake extends Handshake {
  readonly question: number;
}

interface HandshakeParams {
  readonly keys: KeySpace;
  readonly trustPersistence: boolean;
  readonly seen: LogCursor | undefined;
  readonly patternsKnown: number;
  readonly timeoutMs: number;
}

/** Asks for the state of the log. A server whose history is incomplete starts a new generation. */
export async function shakeHandsWith(port: Pick<RedisPort, 'command'>, params: HandshakeParams): Promise<Handshake> {
  const { keys, trustPersistence, seen, patternsKnown, timeoutMs } = params;
  const known = [`${patternsKnown}`, seen?.generation ?? '', `${seen?.sequence ?? 0}`];
  const args = [randomId(), trustPersistence ? '1' : '0', ...known];
  const [generation, sequence, oldest, patterns, time] = listOf(await HANDSHAKE.run(port, keys.log, args, timeoutMs));
  return {
    cursor: { generation: textOf(generation), sequence: numberOf(sequence) },
    oldest: numberOf(oldest),
    patterns: textsOf(patterns),
    time: numberOf(time),
  };
}
