import { createLaneCache, type LaneCacheApp } from '../app/cache-app.js';
import type { LaneCacheOptions } from '../app/options.js';
import type { CachePolicy, LanePolicyInput } from '../lanes/policy.js';
import { noFaults } from '../events/event-bus.js';
import type { LaneMetrics, TierMetrics } from '../events/lane-metrics.js';
import type { MetricsReport } from '../metrics/lane-cache-metrics.js';
import { checkpointsOf, parseAppRecord, type AppRecord } from '../ipc/app-record.js';
import type { Operations } from '../operations/operations.js';
import { readStoredRecord } from '../storage/directory/cache-directory.js';
import type { AppAccess } from './app-access.js';

/** Opens a directory without an owner, with the lanes of its last app. Undefined if a process owns it. */
export async function openStored(directory: string): Promise<AppAccess | undefined> {
  const record = parseAppRecord(await readStoredRecord(directory));
  const app = await createLaneCache(optionsFor(directory, record), { purpose: 'look' });
  const { state } = app.tiers.l3;
  if (state.state === 'off' && state.reason === 'in-use') {
    await app.close();
    return undefined;
  }
  return { directory, kind: 'stored', operations: operationsOf(app, record), record, close: () => app.close() };
}

function operationsOf(app: LaneCacheApp, record: AppRecord | undefined): Operations {
  const { operations } = app;
  if (record === undefined) return operations;
  const metrics = async (): Promise<MetricsReport> => withUsage(record.metrics, await operations.metrics());
  return { ...operations, metrics };
}

/** The counters that the app saved, with the present number and size of stored entries. */
function withUsage(saved: MetricsReport, now: MetricsReport): MetricsReport {
  const present = new Map(Object.entries(now.lanes));
  const lanes = Object.entries(saved.lanes).map(([lane, metrics]) => [lane, laneWithUsage(metrics, present.get(lane))]);
  // Earlier releases saved no faults.
  return { ...saved, faults: { ...noFaults(), ...saved.faults }, lanes: Object.fromEntries(lanes) };
}

function laneWithUsage(saved: LaneMetrics, now: LaneMetrics | undefined): LaneMetrics {
  const closed = { state: 'off', reason: 'closed', since: saved.timestamp, entries: 0, sizeBytes: 0 } as const;
  const gone = (tier: TierMetrics): TierMetrics => (tier.reason === 'policy' ? tier : { ...tier, ...closed });
  const l3 = now === undefined ? saved.l3 : { ...saved.l3, ...usageOf(now.l3) };
  return { ...saved, l1: gone(saved.l1), l2: gone(saved.l2), l3 };
}

function usageOf({ state, reason, entries, sizeBytes }: TierMetrics): Partial<TierMetrics> {
  return { state, entries, sizeBytes, ...(reason !== undefined && { reason }) };
}

function optionsFor(directory: string, record: AppRecord | undefined): LaneCacheOptions {
  const common = { directory, logger: false, storage: { sweepEvery: false } } as const;
  if (record === undefined) return common;
  const { defaultLane, version, policies, retention } = record;
  const checkpoints = checkpointsOf(directory, record);
  return {
    ...common,
    lane: defaultLane,
    version,
    lanes: Object.fromEntries(policies.map((policy) => [policy.lane, inputOf(policy)])),
    checkpoints: checkpoints !== false && { directory: checkpoints, cleanup: false, retention },
  };
}

/** A resolved policy as options, without those that only a running app needs. */
function inputOf(policy: CachePolicy): LanePolicyInput {
  const { description, useCases, l1, l2, l3, maxEntryBytes, compression, include, exclude, targets } = policy;
  const { hitRate, speedUp } = targets;
  return {
    description,
    useCases,
    l1,
    l2,
    l3,
    maxEntryBytes,
    include,
    exclude,
    l4: { enabled: false },
    ttl: `${policy.ttlMs}ms`,
    grace: `${policy.graceMs}ms`,
    compression: compression.enabled && { minBytes: compression.minBytes },
    targets: { ...(hitRate !== null && { hitRate }), ...(speedUp !== null && { speedUp }) },
  };
}
