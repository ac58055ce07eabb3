import { hostname } from 'node:os';
import { CheckpointCleaner } from '../checkpoints/checkpoint-cleaner.js';
import { CheckpointService } from '../checkpoints/checkpoint-service.js';
import type { CheckpointStore } from '../checkpoints/checkpoint-store.js';
import { UnknownLaneError } from '../errors/cache.errors.js';
import { CheckpointCleanupTask, CleanupSchedule } from '../housekeeping/checkpoint-cleanup.task.js';
import { parseSize } from '../lanes/units.js';
import type { CheckpointUse } from '../metrics/prometheus-metrics.js';
import type { AppContext } from './app-context.js';
import type { Disk } from './disk-port.js';
import type { SharedBackend } from './redis-options.js';

/** Where the checkpoints are. Asked at each call, because this process may become the owner of the directory later. */
export function checkpointStoreOf(
  context: AppContext,
  disk: Disk,
  backend: SharedBackend | undefined,
): () => CheckpointStore {
  return () => (areOnServer(context) && backend?.checkpoints) || disk.checkpoints();
}

const areOnServer = ({ options }: AppContext): boolean =>
  options.checkpoints !== false && options.checkpoints?.store === 'distributed';

/** The service of checkpoints, as the settings have it. */
export function checkpointsOf(context: AppContext, store: () => CheckpointStore): CheckpointService {
  const { lanes, codec, clock, events, defaultLane, options, warnOnce, faults } = context;
  const { maxStateBytes, warnStateBytes, retention } = options.checkpoints === false ? {} : (options.checkpoints ?? {});
  return new CheckpointService({
    codec,
    clock,
    events,
    defaultLane,
    lanes: [...lanes.keys()],
    store,
    savedBy: `${hostname()}:${process.pid}`,
    compressFrom: (lane) => {
      const compression = lanes.get(lane)?.policy.compression;
      return compression?.enabled === true ? compression.minBytes : undefined;
    },
    ...(retention !== undefined && { retention }),
    ...(maxStateBytes === undefined ? {} : { maxStateBytes: parseSize(maxStateBytes) }),
    ...(warnStateBytes === undefined ? {} : { warnStateBytes: parseSize(warnStateBytes) }),
    warn: (message) => warnOnce(message, message),
    report: (fault) => faults.report(fault),
  });
}

/** The schedule of the cleanup. The owner of the checkpoints alone cleans up. */
export function cleanupOf(context: AppContext, disk: Disk, store: () => CheckpointStore): CleanupSchedule {
  const { options, clock, events, warnOnce } = context;
  const { retention, cleanup, timeZone } =
    options.checkpoints === false ? ({ cleanup: false } as const) : (options.checkpoints ?? {});
  const isOnServer = areOnServer(context);
  const isAlone = isOnServer || options.directory === false;
  const task = new CheckpointCleanupTask({
    cleaner: () => new CheckpointCleaner(store, clock, events, retention),
    events,
    isOwner: () => (isAlone || disk.journal !== undefined) && store().state.state === 'on',
  });
  return new CleanupSchedule({
    task,
    cron: cleanup,
    timeZone,
    // An app without a directory and without a server keeps nothing that could be cleaned up.
    isNeeded: isOnServer || options.directory !== false,
    onFailure: (error) => {
      const text = error instanceof Error ? error.message : String(error);
      warnOnce(`cleanup:${text}`, `The cleanup of checkpoints failed. The next run is tried as planned. ${text}`);
    },
  });
}

/** Checkpoints by lane, for Prometheus. */
export async function checkpointUse(checkpoints: CheckpointService): Promise<ReadonlyMap<string, CheckpointUse>> {
  const { lanes } = await checkpoints.getCheckpointCacheStatus();
  const uses = Object.entries(lanes).map(([lane, { cachedCheckpoints, bytes }]) => {
    return [lane, { checkpoints: cachedCheckpoints, bytes }] as const;
  });
  return new Map(uses);
}

/** Lanes that `maxAgeDays` names are the app's, or are found in the store. Throws UnknownLaneError. */
export async function checkRetention(
  { options, lanes, purpose, warnOnce }: AppContext,
  checkpoints: CheckpointService,
): Promise<void> {
  const days = options.checkpoints === false ? undefined : options.checkpoints?.retention?.maxAgeDays;
  const unknown = typeof days === 'object' ? Object.keys(days).filter((lane) => !lanes.has(lane)) : [];
  if (unknown.length === 0 || purpose === 'look') return;
  const { state, reason, lanes: stored } = await checkpoints.getCheckpointCacheStatus();
  for (const lane of unknown.filter((name) => !Object.hasOwn(stored, name))) {
    const field = `checkpoints.retention.maxAgeDays.${lane}`;
    if (state === 'on' || reason === 'no-directory') {
      throw new UnknownLaneError(lane, [...lanes.keys(), ...Object.keys(stored)], field, field);
    }
    warnOnce(field, `${field}: there is no lane '${lane}', and whether the store holds any of it cannot be seen now.`);
  }
}
