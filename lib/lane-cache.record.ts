import type { Foundations } from './lane-cache.foundations.js';
import { checkpointsDirectory } from './lane-cache.foundations.js';
import type { MetricsReport } from './metrics/lane-cache-metrics.js';
import { appRecord, type AppRecord } from './operator/app-record.js';

const RETENTION_DAYS = 7;

type Retention = AppRecord['retentionDays'];

/** JSON has no Infinity, which means the same as false. */
function retentionOf(days: Retention = RETENTION_DAYS): Retention {
  const finite = (each: number | false): number | false => (each === Infinity ? false : each);
  if (typeof days !== 'object') return finite(days);
  return Object.fromEntries(Object.entries(days).map(([lane, each]) => [lane, finite(each)]));
}

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
    retentionDays: options.checkpoints === false ? false : retentionOf(options.checkpoints?.retentionDays),
    metrics,
  });
}
