// What the server answers, by the types of the library itself.
export type { Access } from '../../lib/dashboard/dashboard.controller.js';
export type { SeriesName, TrendReport } from '../../lib/dashboard/trend.js';
export type { Explanation, TierExplanation } from '../../lib/cache/explain.js';
export type { EntryInfo } from '../../lib/cache/entry-listing.js';
export type {
  CheckpointInfo,
  CheckpointPage,
  CheckpointStatus,
  CleanupReport,
} from '../../lib/checkpoints/checkpoint.js';
export type { LaneMetrics } from '../../lib/events/lane-metrics.js';
export type { NumbersFrame } from '../../lib/http/live-numbers.js';
export type { OperationResult } from '../../lib/http/operation-routes.js';
export type { HostReport, InstanceReport, MetricsReport } from '../../lib/metrics/lane-cache-metrics.js';
export type {
  EntryPage,
  InvalidationPreview,
  InvalidationTarget,
  ShownCheckpoint,
  ShownValue,
  TopEntries,
} from '../../lib/operations/operations.js';

/** A finding, as much of it as the role may see. */
export interface ShownFinding {
  readonly lane?: string;
  readonly code: string;
  readonly severity: 'error' | 'warning';
  readonly evidence?: string;
  readonly advice?: string;
}

export const TIERS = ['l1', 'l2', 'l3', 'l4'] as const;
export type Tier = (typeof TIERS)[number];

/** What people call the tiers. */
export const TIER_TITLES: Readonly<Record<Tier, string>> = {
  l1: 'Memory',
  l2: 'Session disk',
  l3: 'Persistent disk',
  l4: 'Redis',
};
