import {
  CLOSED,
  isClosed,
  storedBytesOf,
  type CheckpointDraft,
  type CheckpointMark,
  type CheckpointRecord,
  type CheckpointStore,
  type CheckpointStoreState,
  type CheckpointUsage,
  type CleanupPosition,
  type CleanupRule,
  type CleanupSlice,
  type ConflictCause,
  type DueVersion,
  type ListPosition,
  type ListQuery,
  type ListSlice,
  type ReadOutcome,
  type SaveConditions,
  type SaveOutcome,
  type StepStart,
  type TrimRule,
  type VersionSelector,
  type UsageCounts,
  type WorkflowSlice,
} from '../../checkpoints/checkpoint-store.js';
import { unavailable } from '../../checkpoints/unavailable-checkpoint-store.js';
import { LEASE_MS, type LeaseAnswer, type LeaseRequest } from '../../checkpoints/leases.js';
import { hasExpired, verdictOf, type Verdict } from '../../checkpoints/retention.js';
import type { EventSink } from '../../events/event-map.js';
import {
  BEGIN,
  CHECKPOINT_SCRIPTS,
  CLEAN,
  FINISH,
  HISTORY,
  INVALIDATE_WORKFLOW,
  LABEL,
  LABELLED,
  LEASE,
  MARK,
  REMOVE,
  SAVE,
  SIZES,
  SLICE,
  STATE,
} from './scripts.js';
import {
  type RedisArgument,
  type RedisPort,
  type RedisTemplate,
  bytesOf,
  listOf,
  numberOf,
  textOf,
  type Script,
} from '../client/redis-client.js';
import { createHash } from 'node:crypto';
import { type Clock, withDeadline, type KeepAlive } from '../../clock/clock.js';

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
    /** The labels of a version that an earlier release saved, from its metadata. */
    private readonly labelsOf: (record: CheckpointRecord) => readonly string[] = () => [],
  ) {}

  get state(): CheckpointStoreState {
    return this.current;
  }

  async save(draft: CheckpointDraft, state: Uint8Array, conditions: SaveConditions = {}): Promise<SaveOutcome> {
    const { id, lane, workflow, savedAt, expiresAt, labels = [] } = draft;
    const { expectedVersion = '', epoch = '', lease = '', trim, within } = conditions;
    const fields = [`${savedAt}`, `${expiresAt ?? ''}`, labelHash(lane), labelHash(workflow)];
    const holder = within === undefined ? ['', ''] : [idHash(within.id), within.token];
    const terms = [labels.join(' '), `${epoch}`, lease, ...(trim === undefined ? ['', ''] : trimOf(trim)), ...holder];
    const args = [idHash(id), `${expectedVersion}`, JSON.stringify(draft), ...fields, state, ...terms];
    const [isSaved, version, third, gone] = listOf(await this.run(SAVE, args));
    if (numberOf(isSaved) !== 1)
      return { outcome: 'conflict', cause: causeOf(textOf(third)), currentVersion: numberOf(version) };
    const marks = { pinned: false, damaged: false };
    const trimmed = listOf(gone).map(numberOf);
    return {
      outcome: 'saved',
      record: { ...draft, version: numberOf(version), sequence: numberOf(third), ...marks },
      ...(trimmed.length > 0 && { trimmed }),
    };
  }

  async begin(id: string, workflow: string | undefined, now: number): Promise<StepStart> {
    const reply = await this.run(BEGIN, [idHash(id), labelHash(workflow), `${now}`]);
    const [currentVersion = 0, epoch = 0] = listOf(reply).map(numberOf);
    return { currentVersion, epoch };
  }

  async finish(workflow: string): Promise<void> {
    await this.run(FINISH, [labelHash(workflow)]);
  }

  async invalidateWorkflow(workflow: string, upTo?: number): Promise<WorkflowSlice> {
    const args = [labelHash(workflow), `${AT_ONCE}`, `${upTo ?? ''}`];
    const [next, gone] = listOf(await this.run(INVALIDATE_WORKFLOW, args));
    const removed = listOf(gone).flatMap((reply) => {
      const [draft, version] = listOf(reply);
      const id = draftOf(textOf(draft))?.id;
      return id === undefined ? [] : [{ id, version: numberOf(version) }];
    });
    return textOf(next) === '' ? { removed } : { removed, next: numberOf(next) };
  }

  async lease({ action, id, token }: LeaseRequest): Promise<LeaseAnswer> {
    const [isHeld, leftMs = 0] = listOf(await this.run(LEASE, [action, idHash(id), token, `${LEASE_MS}`])).map(
      numberOf,
    );
    return isHeld === 1 ? { isHeld: true } : { isHeld: false, leftMs };
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
    const { since, until, labels = [], after, limit } = query;
    const order = since === undefined && until === undefined ? 'sequence' : 'time';
    const index = await this.indexFor(query, order);
    const end = { time: until ?? Infinity };
    const behind = after && { ...after, time: order === 'time' ? (after.time ?? Infinity) : after.sequence };
    const from = behind === undefined || behind.time > end.time ? end : behind;
    const records: CheckpointRecord[] = [];
    for await (const { record } of this.along(index, { way: 'down', from, to: since ?? -Infinity })) {
      if (record === undefined || !belongsTo(record, query)) continue;
      if (!labels.every((label) => record.labels?.includes(label) === true)) continue;
      const last = records.at(-1);
      if (last !== undefined && records.length === limit) return { records, next: positionOf(last, order) };
      records.push(record);
    }
    return { records };
  }

  /** The index with the fewest versions that has all that the query wants. */
  private async indexFor({ lane, workflow, labels = [] }: ListQuery, order: ListOrder): Promise<string> {
    const ofLabels = labels.map((label) => (order === 'time' ? `label-time:${label}` : `label:${label}`));
    const ofLane = workflow === undefined ? lane && `lane:${labelHash(lane)}` : `workflow:${labelHash(workflow)}`;
    const narrow = order === 'time' || ofLane === undefined ? ofLabels : [ofLane, ...ofLabels];
    if (labels.length > 0) await this.labelAll();
    if (narrow.length < 2) return narrow[0] ?? (order === 'time' ? 'time' : 'order');
    const sizes = listOf(await this.run(SIZES, narrow)).map(numberOf);
    return narrow[sizes.indexOf(Math.min(...sizes))] ?? 'order';
  }

  /** Fills in the index of metadata for versions that earlier releases saved. */
  private async labelAll(): Promise<void> {
    let reached = 0;
    for (;;) {
      const [labelled = 0, last = 0] = listOf(await this.run(LABELLED, [`${reached}`])).map(numberOf);
      if (labelled >= last) return;
      const rows = await this.slice('order', { way: 'up', from: { time: labelled + 1 }, to: Infinity });
      for (const { version, record } of rows) {
        if (record === undefined || record.labels !== undefined) continue;
        await this.run(LABEL, [idHash(record.id), `${version}`, this.labelsOf(record).join(' ')]);
      }
      reached = rows.length < AT_ONCE ? last : (rows.at(-1)?.at.sequence ?? labelled + 1);
    }
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
    const index = phase === 'expired' ? 'expiry' : 'time';
    const removed: DueVersion[] = [];
    let pinnedKept = 0;
    const found = await this.slice(index, { way: 'up', from: after ?? { time: -Infinity }, to: before });
    const last = found.length < AT_ONCE ? undefined : found.at(-1);
    for (const { at, record } of found) {
      // What ends at this very moment is for the next phase, or for a later cleanup.
      if (record === undefined || at.time >= before) continue;
      const outcome = await this.cleanOne(record, rule, phase);
      if (outcome === 'pinned') pinnedKept++;
      else if (outcome !== undefined) removed.push(outcome);
    }
    if (last !== undefined) return { removed, pinnedKept, next: { phase, after: last.at } };
    const hasMore = phase === 'expired' && Number.isFinite(rule.savedBefore);
    return { removed, pinnedKept, ...(hasMore && { next: { phase: 'old' } }) };
  }

  async usage(now: number): Promise<CheckpointUsage> {
    const total = new Tally();
    const lanes = new Map<string, Tally>();
    for await (const { record } of this.along('order', { way: 'up', from: { time: -Infinity }, to: Infinity })) {
      if (record === undefined) continue;
      const lane = lanes.get(record.lane) ?? new Tally();
      lanes.set(record.lane, lane);
      for (const tally of [total, lane]) tally.add(record, now);
    }
    const byLane = Array.from(lanes, ([lane, tally]) => [lane, tally.counts] as const);
    return { total: total.counts, lanes: Object.fromEntries(byLane) };
  }

  async close(): Promise<void> {
    if (isClosed(this.current)) return;
    this.current = CLOSED;
    await this.line.close();
  }

  /** Undefined if it stays for another reason than that it is pinned. */
  private async cleanOne(
    record: CheckpointRecord,
    rule: CleanupRule,
    phase: CleanupPosition['phase'],
  ): Promise<DueVersion | 'pinned' | undefined> {
    // The first phase has removed what expired.
    if (!belongsTo(record, rule) || (phase === 'old' && hasExpired(record, rule.now))) return undefined;
    const { verdict, terms } = await this.judge(record, rule);
    if ('keep' in verdict) return verdict.keep === 'pinned' ? 'pinned' : undefined;
    const id = idHash(record.id);
    const isDry = rule.mode === 'dry-run';
    const [isGone, newest] = isDry
      ? [1, await this.newest(record.id)]
      : listOf(await this.run(CLEAN, [id, `${record.version}`, ...terms])).map(numberOf);
    return isGone === 0 ? undefined : { record, reason: verdict.remove, isNewest: newest === record.version };
  }

  /** The verdict on a version, and what must still hold when it is carried out: others may save meanwhile. */
  private async judge(
    record: CheckpointRecord,
    rule: CleanupRule,
  ): Promise<{ readonly verdict: Verdict; readonly terms: readonly string[] }> {
    const { workflow } = record;
    const needsOthers = rule.keepLast > 0 || rule.keepUnfinished;
    const rows = needsOthers ? await this.rows(record.id, ALL) : [];
    const newer = rows
      .flatMap((row) => row.record ?? [])
      .filter((other) => other.version > record.version && !other.damaged && !hasExpired(other, rule.now));
    const isFinished = !rule.keepUnfinished || workflow === undefined || (await this.isFinished(workflow));
    const inWorkflow = newer.find((other) => other.workflow === workflow);
    const verdict = verdictOf(record, rule, {
      newer: (limit, count) => newer.filter(({ pinned }) => count === 'all' || !pinned).slice(0, limit).length,
      isLastOfUnfinished: () => !isFinished && inWorkflow === undefined,
    });
    if ('remove' in verdict && verdict.remove === 'expired') return { verdict, terms: [''] };
    const reliesOnFinish = rule.keepUnfinished && workflow !== undefined && inWorkflow === undefined;
    const reliesOn = [...newer.slice(0, rule.keepLast), ...(rule.keepUnfinished && inWorkflow ? [inWorkflow] : [])];
    return {
      verdict,
      terms: [reliesOnFinish ? labelHash(workflow) : '', ...reliesOn.map(({ version }) => `${version}`)],
    };
  }

  private async isFinished(workflow: string): Promise<boolean> {
    return numberOf(listOf(await this.run(BEGIN, ['', labelHash(workflow), '0']))[2]) === 1;
  }

  private async newest(id: string): Promise<number> {
    return (await this.rows(id, 1))[0]?.version ?? 0;
  }

  /** 0 if there is none. A version that cannot be read counts too. */
  private async currentVersion(id: string, now: number): Promise<number> {
    return (await this.begin(id, undefined, now)).currentVersion;
  }

  private async rows(id: string, limit: number): Promise<readonly CheckpointRow[]> {
    return listOf(await this.run(HISTORY, [idHash(id), `${Math.min(limit, ALL)}`])).map(rowOf);
  }

  private async *along(index: string, range: Range): AsyncGenerator<CheckpointRow> {
    let { from } = range;
    for (;;) {
      const rows = await this.slice(index, { ...range, from });
      yield* rows;
      const last = rows.at(-1);
      if (last === undefined || rows.length < AT_ONCE) return;
      from = last.at;
    }
  }

  private async slice(index: string, { way, from, to }: Range): Promise<readonly IndexedRow[]> {
    const args = [index, way, scoreOf(from.time), `${from.sequence ?? ''}`, scoreOf(to), `${AT_ONCE}`];
    return listOf(await this.run(SLICE, args)).map((reply) => {
      const [score, sequence, row] = listOf(reply);
      return { ...rowOf(row), at: { time: Number(textOf(score)), sequence: Number(textOf(sequence)) } };
    });
  }

  private async run(script: Script, args: readonly RedisArgument[]): Promise<unknown> {
    if (isClosed(this.current)) throw unavailable('the app was closed.');
    try {
      const reply = await this.line.run(script, args);
      this.turn({ state: 'on' });
      return reply;
    } catch (error) {
      const detail = `Redis could not be asked: ${error instanceof Error ? error.message : String(error)}`;
      this.turn({ state: 'off', reason: 'disconnected', detail }, error);
      throw unavailable(`${detail}. A change may have been made: read before you repeat it.`, error);
    }
  }

  private turn(state: CheckpointStoreState, error?: unknown): void {
    if (state.state === this.current.state || isClosed(this.current)) return;
    this.current = state;
    const detail = 'Redis answers again';
    this.events.emit('tier', { tier: 'checkpoints', detail, ...state, ...(error !== undefined && { error }) });
  }
}

/** Whether a version has the lane and the workflow that are wanted. */
const belongsTo = (
  record: CheckpointRecord,
  { lane = record.lane, workflow = record.workflow }: Pick<ListQuery, 'lane' | 'workflow'>,
): boolean => record.lane === lane && record.workflow === workflow;

/** A place in an index: behind the version with this sequence at this score, or at the score. */
interface Position {
  readonly time: number;
  readonly sequence?: number;
}

/** What lies behind `from`, as far as the score `to`. */
interface Range {
  readonly way: 'up' | 'down';
  readonly from: Position;
  readonly to: number;
}

/** Versions are listed by the time of their save if the query limits it. */
type ListOrder = 'time' | 'sequence';

const positionOf = ({ savedAt, sequence }: CheckpointRecord, order: ListOrder): ListPosition =>
  order === 'time' ? { time: savedAt, sequence } : { sequence };

const scoreOf = (score: number): string => (Number.isFinite(score) ? `${score}` : score > 0 ? '+inf' : '-inf');

/** A version as the scripts return it. `record` is undefined when it cannot be read. */
interface CheckpointRow {
  readonly version: number;
  readonly record: CheckpointRecord | undefined;
}

interface IndexedRow extends CheckpointRow {
  readonly at: { readonly time: number; readonly sequence: number };
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
  const [version, draft, sequence, pinned, damaged, labels] = listOf(reply);
  const read = draft === undefined || draft === null ? undefined : draftOf(textOf(draft));
  if (read === undefined) return { version: numberOf(version), record: undefined };
  const marks = { pinned: textOf(pinned) === '1', damaged: textOf(damaged) === '1' };
  return {
    version: numberOf(version),
    record: { ...read, version: numberOf(version), sequence: numberOf(sequence), ...marks, ...labelsIn(labels) },
  };
}

const labelsIn = (labels: unknown): Pick<CheckpointRecord, 'labels'> =>
  labels === undefined || labels === null ? {} : { labels: textOf(labels).split(' ').filter(Boolean) };

const trimOf = ({ keepVersions, keepUnfinished }: TrimRule): readonly string[] => [
  `${keepVersions}`,
  keepUnfinished ? '1' : '',
];

const causeOf = (text: string): ConflictCause => (text === 'workflow' || text === 'lease' ? text : 'version');

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
    this.bytes += storedBytesOf(record);
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
    private readonly template: RedisTemplate,
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
