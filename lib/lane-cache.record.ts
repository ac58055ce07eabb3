import type { Foundations } from './lane-cache.foundations.js';
import { checkpointsDirectory } from './lane-cache.foundations.js';
import type { MetricsReport } from './metrics/lane-cache-metrics.js';
import { appRecord, type AppRecord } from './operator/app-record.js';

const RETENTION_DAYS = 7;

/** What the app leaves in its directory. */
export function recordOf(foundations: Foundations, metrics: MetricsReport): AppRecord {
  const { options, lanes, defaultLane, clock } = foundations;
  return appRecord({
    savedAt: new Date(clock.now()).toISOString(),
    pid: process.pid,
    defaultLane,
    version: options.version ?? '',
    policies: [...lanes.values()].map(({ policy }) => policy),
    checkpoints: checkpointsDirectory(options),
    retentionDays: options.checkpoints === false ? false : (options.checkpoints?.retentionDays ?? RETENTION_DAYS),
    metrics,
  });
}
