import type { EntryInfo } from '../cache/entry-listing.js';
import type { EntryOrder } from '../cache/entry-search.js';
import type { Explanation } from '../cache/explain.js';
import type { PerformanceOptions, PerformanceReport } from '../benchmark/measure-performance.js';
import type {
  CheckpointFilter,
  CheckpointInfo,
  CheckpointPage,
  CheckpointStatus,
  CleanupOptions,
  CleanupReport,
  ForkCheckpointOptions,
} from '../checkpoints/checkpoint.js';
import type { LowerTierName, TierName } from '../entries/tier-name.js';
import type { Finding } from '../errors/finding.js';
import type { CachePolicy } from '../lanes/policy.js';
import type { InstanceReport, MetricsReport } from '../metrics/lane-cache-metrics.js';

/** The process that answers. */
export interface AppDescription {
  readonly pid: number;
  readonly defaultLane: string;
  readonly policies: readonly CachePolicy[];
  readonly memory: { readonly rssBytes: number; readonly heapUsedBytes: number; readonly heapLimitBytes: number };
  /** Epoch ms, by the wall and by what entries live by. */
  readonly time: { readonly wall: number; readonly life: number };
}

/** A checkpoint for a person to read. */
export interface ShownCheckpoint {
  readonly info: CheckpointInfo;
  /** JSON text; what JSON has no word for is written as something that reads well. */
  readonly state: string;
}

/** One step of a verification. */
export interface Verified {
  readonly place: LowerTierName | 'checkpoints';
  readonly lane?: string;
  /** Looked at since the step before. */
  readonly checked: number;
  /** Keys, or `id@version`; at most 100 in a step. Their number is in `damagedCount`. */
  readonly damaged: readonly string[];
  readonly damagedCount: number;
  /** Of everything to be looked at, as far as is known when it starts. */
  readonly total: number;
}

/** One step of a cleanup. */
export type CleanupStep = { readonly removed: number } | { readonly report: CleanupReport };

/** Which entries are searched for. All that is given must hold. */
export interface EntryQuery {
  /** Default: all lanes. */
  readonly lane?: string;
  /** Of keys: `*` is any run, `?` one character. */
  readonly pattern?: string;
  readonly tag?: string;
  /** Only what this tier holds. */
  readonly tier?: Exclude<TierName, 'l4'>;
  /** `next` of the page before. */
  readonly after?: string;
  /** 1 to 500. Default 50. */
  readonly limit?: number;
}

/** A page of a search. It may hold fewer entries than asked for, or none, before the search has ended. */
export interface EntryPage {
  readonly items: readonly EntryInfo[];
  /** Where the search goes on. Absent when it has ended. */
  readonly next?: string;
  /** How many stored entries were looked at for this page. */
  readonly scanned: number;
}

/** The entries of a lane that stand out. */
export interface TopEntries {
  readonly items: readonly EntryInfo[];
  readonly scanned: number;
  /** false: the lane is so large that only what was used last was looked at. */
  readonly isComplete: boolean;
}

/** What an invalidation names. */
export type InvalidationTarget =
  | { readonly key: string; readonly lane?: string }
  | { readonly pattern: string; readonly lane?: string }
  | { readonly tags: readonly string[] };

/** What an invalidation would reach. */
export interface InvalidationPreview {
  readonly matches: number;
  /** Some of the keys, at most 20. */
  readonly keys: readonly string[];
  /** false: there may be more. Large lanes are not looked at whole. */
  readonly isComplete: boolean;
}

/** An entry's value for a person to read. */
export interface ShownValue {
  readonly tier: TierName;
  /** As JSON, see `ShownCheckpoint`. */
  readonly value: string;
  /** Whether the text was cut. */
  readonly isCut: boolean;
}

/** What can be asked of the entries. Without a lane it is the default lane, or all lanes where noted. */
export interface EntryOperations {
  explain(key: string, lane?: string): Promise<Explanation>;
  /** Answers within a second or so, however many entries there are. */
  search(query: EntryQuery): Promise<EntryPage>;
  top(order: EntryOrder, lane?: string): Promise<TopEntries>;
  preview(target: InvalidationTarget): Promise<InvalidationPreview>;
  /** The value that would be served, without counting a request. Undefined if there is none. */
  value(key: string, lane?: string): Promise<ShownValue | undefined>;
  /** All lanes if none is named; in batches. */
  entries(pattern?: string, lane?: string): AsyncIterable<readonly EntryInfo[]>;
  clear(lane?: string): Promise<void>;
  invalidateKey(key: string, lane?: string): Promise<boolean>;
  invalidatePattern(pattern: string, lane?: string): Promise<number>;
  invalidateTags(tags: readonly string[]): Promise<void>;
  measure(options: PerformanceOptions, lane?: string): Promise<PerformanceReport>;
}

/** What can be asked of the checkpoints. */
export interface CheckpointOperations {
  status(): Promise<CheckpointStatus>;
  checkpoints(filter: CheckpointFilter): Promise<CheckpointPage>;
  history(of: string | { readonly workflow: string }): Promise<readonly CheckpointInfo[]>;
  checkpoint(id: string, version?: number): Promise<ShownCheckpoint | undefined>;
  removeCheckpoint(id: string, version?: number): Promise<number>;
  pinCheckpoint(id: string, version?: number): Promise<boolean>;
  unpinCheckpoint(id: string, version?: number): Promise<boolean>;
  forkCheckpoint(from: string, to: string, options?: ForkCheckpointOptions): Promise<CheckpointInfo>;
  invalidateWorkflow(workflow: string): Promise<number>;
  finishWorkflow(workflow: string): Promise<void>;
  cleanup(options: CleanupOptions): Promise<CleanupReport>;
  /** The same, with how many versions have been removed so far in each part before the report. */
  cleaning(options: CleanupOptions): AsyncIterable<CleanupStep>;
}

/**
 * What can be asked of an app, wherever it runs: the one model that the command line, the endpoints and the dashboard
 * show.
 */
export interface Operations extends EntryOperations, CheckpointOperations {
  describe(): Promise<AppDescription>;
  metrics(): Promise<MetricsReport>;
  /** The instances that share the server: the one that answers, then the others. Empty without a server. */
  instances(): Promise<readonly InstanceReport[]>;
  /** What is wrong, with the counters of one lane or of all. */
  doctor(lane?: string): Promise<readonly Finding[]>;
  /** Reads everything that is stored. Damaged entries are dropped, damaged checkpoints marked. */
  verify(lane?: string): AsyncIterable<Verified>;
}

/** Where Nest finds the operations of an app. */
export const LANE_CACHE_OPERATIONS: unique symbol = Symbol.for('nestjs-lane-cache.operations');

/**
 * How each operation answers another process: `soon`, or its asker gives up; `when-done`, however long it takes; or
 * `in-parts`, which are iterated.
 */
export const OPERATIONS: Readonly<Record<keyof Operations, 'soon' | 'when-done' | 'in-parts'>> = {
  describe: 'soon',
  metrics: 'soon',
  instances: 'soon',
  doctor: 'soon',
  verify: 'in-parts',
  explain: 'soon',
  search: 'soon',
  top: 'soon',
  preview: 'soon',
  value: 'soon',
  entries: 'in-parts',
  clear: 'when-done',
  invalidateKey: 'soon',
  invalidatePattern: 'when-done',
  invalidateTags: 'soon',
  measure: 'when-done',
  status: 'soon',
  checkpoints: 'soon',
  history: 'soon',
  checkpoint: 'soon',
  removeCheckpoint: 'when-done',
  pinCheckpoint: 'soon',
  unpinCheckpoint: 'soon',
  forkCheckpoint: 'soon',
  invalidateWorkflow: 'when-done',
  finishWorkflow: 'soon',
  cleanup: 'when-done',
  cleaning: 'in-parts',
};

/** The names of all operations. */
export const OPERATION_NAMES = Object.keys(OPERATIONS) as readonly (keyof Operations)[];

/** Answers one call. What comes in parts is iterated. */
type OperationAnswer = (args: readonly unknown[]) => Promise<unknown> | AsyncIterable<unknown>;

/** The app's operations as other processes may ask for them. */
export function operationAnswers(operations: Operations): readonly (readonly [string, OperationAnswer])[] {
  return OPERATION_NAMES.map(
    (name) => [name, (args) => ask(operations, name, args)] satisfies [string, OperationAnswer],
  );
}

function ask(
  operations: Operations,
  name: keyof Operations,
  args: readonly unknown[],
): Promise<unknown> | AsyncIterable<unknown> {
  const answer: unknown = Reflect.apply(operations[name], operations, args);
  return isParts(answer) ? answer : Promise.resolve(answer);
}

function isParts(answer: unknown): answer is AsyncIterable<unknown> {
  return typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer;
}
