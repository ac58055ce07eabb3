import type { SharedRecord } from '../../invalidation/shared-log.js';
import type { ClusterRouter } from '../client/cluster-router.js';
import type { Connection } from '../client/connection.js';
import { listOf, type RedisArgument, type Script, textsOf } from '../client/redis-client.js';
import type { KeySpace } from '../keys.js';
import type { AppliedInvalidations, CursorHistory } from '../shared-log/applied-records.js';
import type { ServerTime } from '../shared-log/freshness.js';
import type { EntriesElsewhere } from '../shared-log/publisher.js';
import { keyMember, packTags } from '../shared-log/record-codec.js';
import { JUDGE_SPREAD, PUT, REMOVE_OLDER } from '../shared-log/scripts.js';
import { type EntryReader, entryOf, type ServerEntry, settleWith, type Wanted } from './lookups.js';

interface SpreadEntriesOptions {
  readonly router: ClusterRouter;
  readonly keys: KeySpace;
  readonly applied: AppliedInvalidations;
  readonly cursors: CursorHistory;
  readonly serverTime: ServerTime;
  readonly life: { now(): number };
}

/** So many entries are judged by one command. */
const AT_ONCE = 64;

interface Doubtful {
  readonly wanted: Wanted;
  readonly entry: ServerEntry;
}

/**
 * Entries that lie on all nodes of a cluster, while the log lies on one. No step covers both, so an entry counts only if its
 * birth is not below any record about its key, its tags, its lane or a pattern, nor below a floor. Removing entries only
 * saves memory.
 */
export class SpreadEntries implements EntryReader, EntriesElsewhere {
  private doubtful: Doubtful[] = [];

  constructor(private readonly options: SpreadEntriesOptions) {}

  read(connection: Connection, generation: string, wanted: Wanted): void {
    const name = this.options.keys.entry(generation, wanted.lane, wanted.key);
    this.options.router
      .read(name)
      .then((reply) => this.found(connection, generation, wanted, entryOf(reply)))
      .catch((error: unknown) => wanted.failed(error));
  }

  /** Whether it was written. A younger entry stays. */
  async write(generation: string, entry: Parameters<EntriesElsewhere['write']>[1]): Promise<boolean> {
    const { keys, serverTime, life } = this.options;
    const { lane, key, tags, birth, lifeMs, record } = entry;
    const goneAt = Math.floor(serverTime.shownAt(life.now()) + lifeMs);
    const args = [`${birth}`, `${goneAt}`, `${lifeMs}`, packTags(tags), record];
    return (await this.run(PUT, keys.entry(generation, lane, key), args)) === 1;
  }

  /** Removes the entry that a record names by its key. Whether there was one that is older; a failure does no harm. */
  async removeOlder({ kind, lane, subject }: SharedRecord, generation: string, sequence: number): Promise<boolean> {
    if (lane === null || (kind !== 'key' && kind !== 'expire')) return false;
    const name = this.options.keys.entry(generation, lane, subject);
    return this.run(REMOVE_OLDER, name, [`${sequence}`]).then(
      (removed) => removed === 1,
      () => false,
    );
  }

  private found(connection: Connection, generation: string, wanted: Wanted, entry: ServerEntry | undefined): void {
    // What was found under another generation is judged by other numbers.
    if (this.options.cursors.current?.generation !== generation) return settleWith(wanted, undefined);
    if (entry === undefined || this.options.applied.knowsAllAfter(entry.birth)) return settleWith(wanted, entry);
    this.doubtful.push({ wanted, entry });
    if (this.doubtful.length === 1) queueMicrotask(() => void this.judge(connection, generation));
    else if (this.doubtful.length === AT_ONCE) void this.judge(connection, generation);
  }

  /** Entries that are older than what this instance has followed are judged by the node of the log. */
  private async judge(connection: Connection, generation: string): Promise<void> {
    const { keys, applied } = this.options;
    const { doubtful } = this;
    if (doubtful.length === 0) return;
    this.doubtful = [];
    const args: RedisArgument[] = [generation, `${applied.patterns.known}`];
    for (const { wanted, entry } of doubtful) {
      args.push(wanted.lane, keyMember(wanted.lane, wanted.key), entry.tags, `${entry.birth}`);
    }
    try {
      const reply = await connection.run(JUDGE_SPREAD, keys.log, args);
      const [patterns, ...verdicts] = Array.isArray(reply) ? listOf(reply) : [[]];
      applied.patterns.learnAll(textsOf(patterns));
      for (const [at, { wanted, entry }] of doubtful.entries()) {
        settleWith(wanted, verdicts[at] === 1 ? entry : undefined);
      }
    } catch (error) {
      for (const { wanted } of doubtful) wanted.failed(error);
    }
  }

  private run(script: Script, name: string, args: readonly RedisArgument[]): Promise<unknown> {
    const { router } = this.options;
    const port = { command: (command: readonly RedisArgument[]) => router.command(name, command) };
    return script.run(port, [name], args, Infinity);
  }
}
