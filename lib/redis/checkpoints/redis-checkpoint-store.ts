import {
  hasExpired,
  type CheckpointDraft,
  type CheckpointMark,
  type CheckpointRecord,
  type CheckpointStore,
  type CheckpointStoreState,
  type CheckpointUsage,
  type CleanupPosition,
  type CleanupRule,
  type CleanupSlice,
  type ListQuery,
  type ListSlice,
  type ReadOutcome,
  type SaveOutcome,
  type VersionSelector,
  type UsageCounts,
} from '../../checkpoints/checkpoint-store.js';
import type { EventSink } from '../../events/event-map.js';
import { CLEAN, HISTORY, MARK, REMOVE, SAVE, SLICE, STATE, CHECKPOINT_SCRIPTS } from './scripts.js';
import {
  type RedisArgument,
  type RedisPort,
  bytesOf,
  listOf,
  numberOf,
  textOf,
  type Script,
} from '../client/redis-client.js';
import { createHash } from 'node:crypto';
import type { Clock } from '../../clock/clock.js';
import { withDeadline } from '../../clock/timers.js';
import type { KeepAlive } from '../../clock/keep-alive.js';

/** Rows that one read takes. */
const AT_ONCE = 64;
const ALL = 1_000_000;

/**
 * Checkpoints that the instances of an app share. A save is one step of the server. Whether an acknowledged save is durable
 * depends on the server's own persistence.
 */
export class RedisCheckpointStore implements CheckpointStore {
  private current: CheckpointStoreState = { state: 'on' };

  constructor(
    private readonly line: CheckpointConnection,
    private readonly events: EventSink,
  ) {}

  get state(): CheckpointStoreState {
    return this.current;
  }

  async save(draft: CheckpointDraft, state: Uint8Array, expectedVersion?: number): Promise<SaveOutcome> {
    const { id, lane, workflow, savedAt, expiresAt } = draft;
    const labels = [`${savedAt}`, `${expiresAt ?? ''}`, labelHash(lane), labelHash(workflow)];
    const args = [idHash(id), `${expectedVersion ?? ''}`, JSON.stringify(draft), ...labels, state];
    const [isSaved, version, sequence] = listOf(await this.run(SAVE, args)).map(numberOf);
    if (isSaved !== 1) return { outcome: 'conflict', currentVersion: version ?? 0 };
    const marks = { pinned: false, damaged: false };
    return { outcome: 'saved', record: { ...draft, version: version ?? 0, sequence: sequence ?? 0, ...marks } };
  }

  async read(id: string, selector: VersionSelector): Promise<ReadOutcome> {
    const version = 'version' in selector ? selector.version : await this.currentVersion(id, selector.asOf);
    const reply = version === 0 ? undefined : await this.run(STATE, [idHash(id), `${version}`]);
    if (!Array.isArray(reply)) return { outcome: 'absent' };
    const [row, state] = listOf(reply);
    const { record } = rowOf(row);
    if (record === undefined || record.id !== id || state === null) return { outcome: 'damaged', version };
    return { outcome: 'found', record, state: bytesOf(state) };
  }

  async versions(id: string): Promise<readonly number[]> {
    return (await this.rows(id, ALL)).map(({ version }) => version);
  }

  async history(id: string, limit: number): Promise<readonly CheckpointRecord[]> {
    return (await this.rows(id, limit)).flatMap(({ record }) => record ?? []);
  }

  async list(query: ListQuery): Promise<ListSlice> {
    const { lane, workflow, since, until, after, limit } = query;
    const byTime = since !== undefined || until !== undefined;
    const label = workflow === undefined ? lane && `lane:${labelHash(lane)}` : `workflow:${labelHash(workflow)}`;
    const index = byTime ? 'time' : (label ?? 'order');
    const from = byTime ? Math.min(after?.time ?? Infinity, until ?? Infinity) : (after?.sequence ?? Infinity);
    const records: CheckpointRecord[] = [];
    for await (const { record } of this.along(index, { way: 'down', from, to: since ?? -Infinity })) {
      if (record === undefined || !isBehind(record, after, byTime)) continue;
      if ((lane !== undefined && record.lane !== lane) || (workflow !== undefined && record.workflow !== workflow))
        continue;
      records.push(record);
      if (records.length === limit) break;
    }
    const last = records.at(-1);
    if (last === undefined || records.length < limit) return { records };
    const { sequence, savedAt } = last;
    return { records, next: byTime ? { time: savedAt, sequence } : { sequence } };
  }

  async remove(id: string, version?: number): Promise<readonly number[]> {
    return listOf(await this.run(REMOVE, [idHash(id), `${version ?? ''}`])).map(numberOf);
  }

  async mark(id: string, mark: CheckpointMark, version?: number): Promise<boolean> {
    const [field, value] = mark === 'damaged' ? ['damaged', '1'] : ['pinned', mark === 'pinned' ? '1' : '0'];
    const which = version ?? (mark === 'unpinned' ? '*' : '');
    return numberOf(await this.run(MARK, [idHash(id), field, value, `${which}`])) > 0;
  }

  async clean(rule: CleanupRule, from: CleanupPosition = { phase: 'expired' }): Promise<CleanupSlice> {
    const { phase, after } = from;
    const before = phase === 'expired' ? rule.now : rule.savedBefore;
    const slice = { way: 'up', from: after?.time ?? -Infinity, to: before } as const;
    const removed: CheckpointRecord[] = [];
    const counts = { newestOfId: 0, pinnedKept: 0 };
    const [index, timeOf] =
      phase === 'expired'
        ? ['expiry', (record: CheckpointRecord): number => record.expiresAt ?? 0]
        : ['time', (record: CheckpointRecord): number => record.savedAt];
    const due: { readonly record: CheckpointRecord; readonly at: Position }[] = [];
    // The whole slice is read before the first removal, because a removal moves the others.
    for await (const { record } of this.along(index, slice)) {
      if (record === undefined) continue;
      const at = { time: timeOf(record), sequence: record.sequence };
      if (at.time < before && !isUpTo(at, after)) due.push({ record, at });
      if (due.length === AT_ONCE) break;
    }
    for (const { record } of due) await this.cleanOne(record, rule, phase, { removed, counts });
    const last = due.length === AT_ONCE ? due.at(-1) : undefined;
    if (last !== undefined) return { removed, ...counts, next: { phase, after: last.at } };
    const hasMore = phase === 'expired' && Number.isFinite(rule.savedBefore);
    return { removed, ...counts, ...(hasMore && { next: { phase: 'old' } }) };
  }

  async usage(now: number): Promise<CheckpointUsage> {
    const total = new Tally();
    const lanes = new Map<string, Tally>();
    for await (const { record } of this.along('order', { way: 'up', from: -Infinity, to: Infinity })) {
      if (record === undefined) continue;
      const lane = lanes.get(record.lane) ?? new Tally();
      lanes.set(record.lane, lane);
      for (const tally of [total, lane]) tally.add(record, now);
    }
    const byLane = Array.from(lanes, ([lane, tally]) => [lane, tally.counts] as const);
    return { total: total.counts, lanes: Object.fromEntries(byLane) };
  }

  async close(): Promise<void> {
    if (this.current.state === 'off' && this.current.reason === 'closed') return;
    this.current = { state: 'off', reason: 'closed', detail: 'the app was closed' };
    await this.line.close();
  }

  private async cleanOne(
    record: CheckpointRecord,
    rule: CleanupRule,
    phase: CleanupPosition['phase'],
    into: { readonly removed: CheckpointRecord[]; readonly counts: { newestOfId: number; pinnedKept: number } },
  ): Promise<void> {
    const { lane, workflow, now, keepLast } = rule;
    if ((lane !== undefined && record.lane !== lane) || (workflow !== undefined && record.workflow !== workflow))
      return;
    // The first phase has removed what expired.
    if (phase === 'old' && (hasExpired(record, now) || (await this.isAmongLast(record, keepLast, now)))) return;
    const dry = record.pinned || rule.mode === 'dry-run';
    const id = idHash(record.id);
    const [isGone, newest] = dry
      ? [0, await this.newest(record.id)]
      : listOf(await this.run(CLEAN, [id, `${record.version}`])).map(numberOf);
    if (record.pinned || (!dry && isGone === 0)) {
      into.counts.pinnedKept++;
      return;
    }
    if (newest === record.version) into.counts.newestOfId++;
    into.removed.push(record);
  }

  private async isAmongLast({ id, version }: CheckpointRecord, keepLast: number, now: number): Promise<boolean> {
    if (keepLast === 0) return false;
    const newer = (await this.rows(id, ALL)).filter((row) => row.version > version);
    return newer.filter(({ record }) => record !== undefined && !hasExpired(record, now)).length < keepLast;
  }

  private async newest(id: string): Promise<number> {
    return (await this.rows(id, 1))[0]?.version ?? 0;
  }

  /** 0 if there is none. A version that cannot be read counts too. */
  private async currentVersion(id: string, now: number): Promise<number> {
    const rows = await this.rows(id, ALL);
    return rows.find(({ record }) => record === undefined || !hasExpired(record, now))?.version ?? 0;
  }

  private async rows(id: string, limit: number): Promise<readonly CheckpointRow[]> {
    return listOf(await this.run(HISTORY, [idHash(id), `${limit}`])).map(rowOf);
  }

  private async *along(
    index: string,
    range: { readonly way: 'up' | 'down'; readonly from: number; readonly to: number },
  ): AsyncGenerator<CheckpointRow> {
    const found: CheckpointRow[] = [];
    const { way, from, to } = range;
    for (let offset = 0; offset === 0 || found.length === AT_ONCE; offset += AT_ONCE) {
      const slice = [index, way, scoreOf(from), scoreOf(to), `${offset}`, `${AT_ONCE}`];
      const rows = listOf(await this.run(SLICE, slice)).map((reply) => rowOf(listOf(reply)[1]));
      found.splice(0, found.length, ...rows);
      yield* rows;
    }
  }

  private async run(script: Script, args: readonly RedisArgument[]): Promise<unknown> {
    if (this.current.state === 'off' && this.current.reason === 'closed') throw new Error('the checkpoints are closed');
    try {
      const reply = await this.line.run(script, args);
      this.turn({ state: 'on' });
      return reply;
    } catch (error) {
      const detail = `Redis could not be asked: ${error instanceof Error ? error.message : textOf(String(error))}`;
      this.turn({ state: 'off', reason: 'disconnected', detail }, error);
      throw error;
    }
  }

  private turn(state: CheckpointStoreState, error?: unknown): void {
    if (state.state === this.current.state) return;
    if (this.current.state === 'off' && this.current.reason === 'closed') return;
    this.current = state;
    const detail = state.state === 'on' ? 'Redis answers again' : state.detail;
    const reason = state.state === 'off' ? { reason: state.reason } : {};
    this.events.emit('tier', {
      tier: 'checkpoints',
      state: state.state,
      ...reason,
      detail,
      ...(error !== undefined && { error }),
    });
  }
}

interface Position {
  readonly time: number;
  readonly sequence: number;
}

function isUpTo(at: Position, after: Position | undefined): boolean {
  if (after === undefined) return false;
  return at.time < after.time || (at.time === after.time && at.sequence <= after.sequence);
}

function isBehind(record: CheckpointRecord, after: ListQuery['after'], byTime: boolean): boolean {
  if (after === undefined) return true;
  if (byTime && after.time !== undefined && record.savedAt !== after.time) return record.savedAt < after.time;
  return record.sequence < after.sequence;
}

const scoreOf = (score: number): string => (Number.isFinite(score) ? `${score}` : score > 0 ? '+inf' : '-inf');

/** A version as the scripts return it. `record` is undefined when it cannot be read. */
interface CheckpointRow {
  readonly version: number;
  readonly record: CheckpointRecord | undefined;
}

/** Ids may hold any text, so names hold their hash. The id itself is in the draft. */
function idHash(id: string): string {
  return createHash('sha256').update(id, 'utf16le').digest('hex');
}

/** Labels in names of keys, as bytes that are the same for the same text. */
function labelHash(label: string | undefined): string {
  return label === undefined ? '' : idHash(label).slice(0, 32);
}

function rowOf(reply: unknown): CheckpointRow {
  const [version, draft, sequence, pinned, damaged] = listOf(reply);
  const read = draft === undefined || draft === null ? undefined : draftOf(textOf(draft));
  if (read === undefined) return { version: numberOf(version), record: undefined };
  const marks = { pinned: textOf(pinned) === '1', damaged: textOf(damaged) === '1' };
  return {
    version: numberOf(version),
    record: { ...read, version: numberOf(version), sequence: numberOf(sequence), ...marks },
  };
}

/** JSON keeps lone surrogates, as escapes. */
function draftOf(text: string): CheckpointDraft | undefined {
  try {
    const draft: CheckpointDraft = JSON.parse(text);
    return typeof draft === 'object' && typeof draft.id === 'string' ? draft : undefined;
  } catch {
    return undefined;
  }
}

/** Adds up versions. */
export class Tally {
  private readonly ids = new Set<string>();
  private versions = 0;
  private bytes = 0;
  private oldest = Infinity;
  private newest = -Infinity;

  add(record: CheckpointRecord, now: number): void {
    if (!hasExpired(record, now) && !record.damaged) this.ids.add(record.id);
    this.versions++;
    this.bytes += record.sizeBytes;
    this.oldest = Math.min(this.oldest, record.savedAt);
    this.newest = Math.max(this.newest, record.savedAt);
  }

  get counts(): UsageCounts {
    const { ids, versions, bytes, oldest, newest } = this;
    return { ids: ids.size, versions, bytes, ...(versions > 0 && { oldest, newest }) };
  }
}

/** A state may be large, so it gets more time. */
const ANSWERED_WITHIN_MS = 10_000;
const OPEN_WITHIN_MS = 3_000;

/** The connection of the shared checkpoints. It is opened when it is needed, and again after a loss. Commands keep their order. */
export class CheckpointConnection {
  private opening: Promise<RedisPort> | undefined;
  private readonly underWay = new Set<Promise<unknown>>();

  constructor(
    private readonly template: RedisPort,
    private readonly root: string,
    private readonly clock: Clock,
    private readonly hold: KeepAlive,
  ) {}

  async run(script: Script, args: readonly RedisArgument[]): Promise<unknown> {
    const answer = this.hold.during(this.send(script, args));
    this.underWay.add(answer);
    try {
      return await answer;
    } finally {
      this.underWay.delete(answer);
    }
  }

  /** Waits for running commands. */
  async close(): Promise<void> {
    await Promise.allSettled(this.underWay);
    const { opening } = this;
    this.opening = undefined;
    await (await opening?.catch(() => undefined))?.close();
  }

  private async send(script: Script, args: readonly RedisArgument[]): Promise<unknown> {
    this.opening ??= this.open();
    const port = await this.opening;
    return script.run(port, [this.root], args, ANSWERED_WITHIN_MS);
  }

  private async open(): Promise<RedisPort> {
    try {
      const port = await withDeadline(this.clock, this.template.duplicate(), OPEN_WITHIN_MS, 'connecting to Redis');
      port.onStateChange((connected) => {
        if (connected) return;
        this.opening = undefined;
        void port.close();
      });
      // Loaded before, so that no command is sent twice and overtaken.
      for (const script of CHECKPOINT_SCRIPTS) await script.load(port, ANSWERED_WITHIN_MS);
      return port;
    } catch (error) {
      this.opening = undefined;
      throw error;
    }
  }
}
