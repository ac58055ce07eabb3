import type { EntryInfo } from '../cache/entry-listing.js';
import type { Explanation } from '../cache/explain.js';
import type { PerformanceOptions, PerformanceReport } from '../benchmark/measure-performance.js';
import type {
  CheckpointFilter,
  CheckpointInfo,
  CheckpointPage,
  CheckpointStatus,
  CleanupOptions,
  CleanupReport,
} from '../checkpoints/checkpoint.js';
import type { LowerTierName } from '../entries/tier-name.js';
import type { CachePolicy } from '../lanes/policy.js';
import type { MetricsReport } from '../metrics/lane-cache-metrics.js';
import type { Answer } from './server.js';

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

/** What the command line asks of an app, wherever it runs. Without a lane it is the default lane, or all lanes where noted. */
export interface Operations {
  describe(): Promise<AppDescription>;
  metrics(): Promise<MetricsReport>;
  status(): Promise<CheckpointStatus>;
  explain(key: string, lane?: string): Promise<Explanation>;
  /** All lanes if none is named; in batches. */
  entries(pattern?: string, lane?: string): AsyncIterable<readonly EntryInfo[]>;
  clear(lane?: string): Promise<void>;
  invalidateKey(key: string, lane?: string): Promise<boolean>;
  invalidatePattern(pattern: string, lane?: string): Promise<number>;
  invalidateTags(tags: readonly string[]): Promise<void>;
  cleanup(options: CleanupOptions): Promise<CleanupReport>;
  /** The same, with how many versions have been removed so far in each part before the report. */
  cleaning(options: CleanupOptions): AsyncIterable<CleanupStep>;
  checkpoints(filter: CheckpointFilter): Promise<CheckpointPage>;
  history(of: string | { readonly workflow: string }): Promise<readonly CheckpointInfo[]>;
  checkpoint(id: string, version?: number): Promise<ShownCheckpoint | undefined>;
  removeCheckpoint(id: string, version?: number): Promise<number>;
  invalidateWorkflow(workflow: string): Promise<number>;
  finishWorkflow(workflow: string): Promise<void>;
  /** Reads everything that is stored. Damaged entries are dropped, damaged checkpoints marked. */
  verify(lane?: string): AsyncIterable<Verified>;
  measure(options: PerformanceOptions, lane?: string): Promise<PerformanceReport>;
}

const OPERATIONS = [
  'describe',
  'metrics',
  'status',
  'explain',
  'entries',
  'clear',
  'invalidateKey',
  'invalidatePattern',
  'invalidateTags',
  'cleanup',
  'cleaning',
  'checkpoints',
  'history',
  'checkpoint',
  'removeCheckpoint',
  'invalidateWorkflow',
  'finishWorkflow',
  'verify',
  'measure',
] as const satisfies readonly (keyof Operations)[];

/** The app's operations as other processes may ask for them. */
export function operationAnswers(operations: Operations): readonly (readonly [string, Answer])[] {
  return OPERATIONS.map((name) => [name, (args) => ask(operations, name, args)] satisfies [string, Answer]);
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
