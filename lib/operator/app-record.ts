import type { IsoTime } from '../events/event-map.js';
import type { CachePolicy } from '../lanes/policy.js';
import type { MetricsReport } from '../metrics/lane-cache-metrics.js';

const FORMAT = 1;

/** What an app leaves in its directory for whoever looks into it when no app runs. No keys, no values. */
export interface AppRecord {
  readonly format: typeof FORMAT;
  readonly savedAt: IsoTime;
  readonly pid: number;
  readonly defaultLane: string;
  /** Of the app's data. */
  readonly version: string;
  readonly policies: readonly CachePolicy[];
  /** Absolute; false keeps none. */
  readonly checkpoints: string | false;
  /** false keeps them for ever; a record, by lane. */
  readonly retentionDays: number | false | Readonly<Record<string, number | false>>;
  readonly metrics: MetricsReport;
}

export function appRecord(fields: Omit<AppRecord, 'format'>): AppRecord {
  return { format: FORMAT, ...fields };
}

/** Undefined if it is none, or of a format that this release does not know. */
export function parseAppRecord(note: unknown): AppRecord | undefined {
  if (typeof note !== 'object' || note === null) return undefined;
  const { format, policies, metrics }: Readonly<Record<string, unknown>> = { ...note };
  if (format !== FORMAT || !Array.isArray(policies) || typeof metrics !== 'object') return undefined;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by the app that owned the directory, in this format
  return note as AppRecord;
}
