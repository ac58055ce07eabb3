import { isAbsolute, relative, resolve } from 'node:path';
import type { RetentionOptions } from '../checkpoints/retention.js';
import type { IsoTime } from '../events/event-map.js';
import type { CachePolicy } from '../lanes/policy.js';
import type { MetricsReport } from '../metrics/lane-cache-metrics.js';

const FORMAT = 1;

/** What an app leaves in its directory for the command line, when no app runs. It holds no keys and no values. */
export interface AppRecord {
  readonly format: typeof FORMAT;
  readonly savedAt: IsoTime;
  readonly pid: number;
  readonly defaultLane: string;
  /** Of the app's data. */
  readonly version: string;
  readonly policies: readonly CachePolicy[];
  /** Within the directory as a path relative to it, so that a copy or a moved directory has its own; else absolute. False keeps none. */
  readonly checkpoints: string | false;
  readonly retention: RetentionOptions;
  readonly metrics: MetricsReport;
}

export function appRecord({ retention, ...fields }: Omit<AppRecord, 'format'>): AppRecord {
  return { format: FORMAT, ...fields, retention: retentionOf(retention) };
}

/** JSON has no Infinity, which means the same as false. */
function retentionOf({ maxAgeDays, ...counts }: RetentionOptions): RetentionOptions {
  const finite = (each: number | false): number | false => (each === Infinity ? false : each);
  if (maxAgeDays === undefined) return counts;
  if (typeof maxAgeDays !== 'object') return { ...counts, maxAgeDays: finite(maxAgeDays) };
  const byLane = Object.entries(maxAgeDays).map(([lane, each]) => [lane, finite(each)] as const);
  return { ...counts, maxAgeDays: Object.fromEntries(byLane) };
}

/** How the record of an app in `directory` names its place of checkpoints. */
export function recordedCheckpoints(directory: string, checkpoints: string): string {
  const within = relative(directory, checkpoints);
  return within.startsWith('..') || isAbsolute(within) ? checkpoints : within;
}

/** The place of checkpoints of the app whose record lies in `directory`. */
export function checkpointsOf(directory: string, { checkpoints }: AppRecord): string | false {
  return checkpoints !== false && resolve(directory, checkpoints);
}

/** Undefined if it is none, is damaged, or is of a format that this release does not know. */
export function parseAppRecord(note: unknown): AppRecord | undefined {
  const current = isFields(note) && 'retentionDays' in note ? { ...note, retention: daysAlone(note) } : note;
  return isAppRecord(current) ? current : undefined;
}

/** Earlier releases knew no other retention. */
const daysAlone = ({ retentionDays }: Fields): Fields => ({ maxAgeDays: retentionDays });

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function isAppRecord(note: unknown): note is AppRecord {
  if (!isFields(note) || note['format'] !== FORMAT) return false;
  const { savedAt, pid, defaultLane, version, policies, checkpoints, retention, metrics } = note;
  return (
    [savedAt, defaultLane, version].every((text) => typeof text === 'string') &&
    typeof pid === 'number' &&
    (checkpoints === false || typeof checkpoints === 'string') &&
    isFields(retention) &&
    isDays(retention['maxAgeDays']) &&
    Array.isArray(policies) &&
    policies.every(isPolicy) &&
    isFields(metrics) &&
    isFields(metrics['lanes']) &&
    Object.values(metrics['lanes']).every(isOfTiers)
  );
}

const isDays = (days: unknown): boolean =>
  days === undefined || days === false || typeof days === 'number' || isFields(days);

const isPolicy = (policy: unknown): boolean =>
  isOfTiers(policy) && typeof policy['lane'] === 'string' && isFields(policy['targets']);

const isOfTiers = (value: unknown): value is Fields =>
  isFields(value) && ['l1', 'l2', 'l3'].every((tier) => isFields(value[tier]));
