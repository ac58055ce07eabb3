import type { Turns } from '../cache/turns.js';
import { labelsOfRecord } from '../checkpoints/checkpoint-validation.js';
import type { RemoteInvalidations } from '../cache/invalidate.js';
import type { CheckpointStore } from '../checkpoints/checkpoint-store.js';
import type { InvalidationLog } from '../invalidation/invalidation-log.js';
import type { Disk } from './disk-port.js';
import type { DistributedOptions } from './options.js';
import { type AppContext, DEFAULT_PREFIX } from './app-context.js';
import { toMilliseconds, type Duration } from '../lanes/units.js';
import type { CachePolicy } from '../lanes/policy.js';
import type { InstanceReport, SharedReport } from '../metrics/lane-cache-metrics.js';
import type { InstanceIdentity } from '../redis/instances.js';
import { RedisBackend, type RedisBackendOptions } from '../redis/redis-backend.js';
import type { SharedLane } from '../redis/tier/record-envelope.js';
import type { SharedLog } from '../invalidation/shared-log.js';
import type { Tier } from '../tiers/tier.js';

/** The server that the instances of an app share. */
export interface SharedBackend {
  readonly tier: Tier;
  readonly log: SharedLog;
  readonly turns: Turns;
  readonly checkpoints: CheckpointStore;
  start(cache: RemoteInvalidations): Promise<void>;
  takenOver(): Promise<void>;
  readonly sharedReport: SharedReport;
  announce(identity: InstanceIdentity): void;
  instances(): Promise<readonly InstanceReport[]>;
  close(): Promise<void>;
}

/** What the app has opened before. */
interface Opened {
  readonly disk: Disk;
  readonly log: InvalidationLog;
}

/** Prepares the server. Throws LaneCacheError on bad settings. */
export function openShared(given: DistributedOptions, context: AppContext, opened: Opened): Promise<SharedBackend> {
  return RedisBackend.prepare(settingsOf(given, context, opened));
}

function settingsOf(
  given: DistributedOptions,
  { lanes, clock, life, codec, events, recorder }: AppContext,
  { disk, log }: Opened,
): RedisBackendOptions {
  const ms = (field: 'commandTimeout' | 'maxStaleness', otherwise: Duration): number =>
    toMilliseconds(given[field] ?? otherwise, { field: `distributed.${field}` });
  return {
    url: given.url,
    client: given.client,
    prefix: given.prefix ?? DEFAULT_PREFIX,
    commandTimeoutMs: ms('commandTimeout', '250ms'),
    onDisconnect: given.onDisconnect ?? 'serve',
    maxStalenessMs: ms('maxStaleness', '30s'),
    trustPersistence: given.trustPersistence ?? false,
    logLength: given.logLength ?? 10_000,
    hmacKey: given.hmacKey,
    lanes: new Map([...lanes].filter(([, { policy }]) => policy.l4.enabled).map(sharedLane)),
    clock,
    life,
    events,
    recorder,
    labelsOf: (record) => labelsOfRecord(codec, record),
    position: () => log.position,
    journal: () => disk.journal,
    outbox: () => disk.outbox,
    unpublished: disk.unpublished,
  };
}

const sharedLane = ([lane, { policy }]: readonly [string, { readonly policy: CachePolicy }]): [string, SharedLane] => {
  const { maxEntryBytes, l4 } = policy;
  const compression = policy.compression.enabled ? policy.compression : undefined;
  return [lane, { compression, maxEntryBytes, coalesces: l4.coalesce === 'cluster' }];
};
