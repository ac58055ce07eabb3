import { TIER_PLACES } from '../entries/tier-name.js';
import { getHeapStatistics } from 'node:v8';
import type { EntryInfo } from '../cache/entry-listing.js';
import type { LaneManager } from '../cache/lane-manager.js';
import { measureCachePerformance } from '../benchmark/measure-performance.js';
import type { CheckpointService } from '../checkpoints/checkpoint-service.js';
import { type Clock, nextTurn, type LifeClock } from '../clock/clock.js';
import type { LaneCacheMetrics } from '../metrics/lane-cache-metrics.js';
import type { CleanupOptions } from '../checkpoints/checkpoint.js';
import type { CleanupStep, Operations, Verified } from './operations.js';
import { readableJson } from './readable-json.js';
import type { GuardedTier } from '../cache/guarded-tier.js';
import { isLaneCacheError } from '../errors/lane-cache.error.js';

interface AppOperationsOptions {
  readonly defaultLane: string;
  readonly lanes: readonly string[];
  /** Throws UnknownLaneError. */
  readonly manager: (lane?: string) => LaneManager;
  readonly metrics: LaneCacheMetrics;
  readonly checkpoints: CheckpointService;
  readonly clock: Clock;
  readonly life: LifeClock;
}

const BATCH = 200;

/** What can be asked of the app in this process. */
export class AppOperations implements Operations {
  constructor(private readonly app: AppOperationsOptions) {}

  readonly describe: Operations['describe'] = async () => {
    const { defaultLane, lanes, manager, clock, life } = this.app;
    const { rss, heapUsed } = process.memoryUsage();
    return {
      pid: process.pid,
      defaultLane,
      policies: lanes.map((lane) => manager(lane).policy),
      memory: { rssBytes: rss, heapUsedBytes: heapUsed, heapLimitBytes: getHeapStatistics().heap_size_limit },
      time: { wall: clock.now(), life: life.now() },
    };
  };

  readonly metrics: Operations['metrics'] = async () => this.app.metrics.report();

  readonly status: Operations['status'] = () => this.app.checkpoints.getCheckpointCacheStatus();

  readonly explain: Operations['explain'] = async (key, lane) => this.app.manager(lane).explain(key);

  readonly clear: Operations['clear'] = async (lane) => this.app.manager(lane).clearAll();

  readonly invalidateKey: Operations['invalidateKey'] = async (key, lane) => this.app.manager(lane).invalidate(key);

  readonly invalidatePattern: Operations['invalidatePattern'] = async (pattern, lane) =>
    this.app.manager(lane).invalidateByPattern(pattern);

  readonly invalidateTags: Operations['invalidateTags'] = (tags) => this.app.manager().invalidateByTag(...tags);

  readonly cleanup: Operations['cleanup'] = (options) => this.app.checkpoints.cleanupOldCheckpoints(options);

  readonly invalidateWorkflow: Operations['invalidateWorkflow'] = (workflow) =>
    this.app.checkpoints.invalidateWorkflow(workflow);

  readonly finishWorkflow: Operations['finishWorkflow'] = (workflow) => this.app.checkpoints.finish(workflow);

  readonly checkpoints: Operations['checkpoints'] = (filter) => this.app.checkpoints.list(filter);

  readonly history: Operations['history'] = (of) => this.app.checkpoints.history(of);

  readonly removeCheckpoint: Operations['removeCheckpoint'] = (id, version) =>
    this.app.checkpoints.invalidateCheckpoint(id, version);

  readonly measure: Operations['measure'] = async (options, lane) =>
    measureCachePerformance(this.app.manager(lane), options);

  readonly checkpoint: Operations['checkpoint'] = async (id, version) => {
    const found = await this.app.checkpoints.getCheckpoint(id, version === undefined ? {} : { version });
    if (found === undefined) return undefined;
    const { state, ...info } = found;
    return { info, state: readableJson(state) };
  };

  async *entries(pattern?: string, lane?: string): AsyncGenerator<readonly EntryInfo[]> {
    let batch: EntryInfo[] = [];
    for (const manager of this.managers(lane)) {
      for await (const entry of manager.entries(pattern)) {
        if (batch.push(entry) < BATCH) continue;
        yield batch;
        batch = [];
      }
    }
    yield batch;
  }

  async *cleaning(options: CleanupOptions): AsyncGenerator<CleanupStep> {
    const steps: CleanupStep[] = [];
    let wake = (): void => undefined;
    const add = (step: CleanupStep): void => {
      steps.push(step);
      wake();
    };
    const cleanup = this.app.checkpoints.cleanupOldCheckpoints(options, (removed) => add({ removed }));
    const failed = cleanup.then(
      (report) => {
        add({ report });
        return undefined;
      },
      (error: unknown) => {
        wake();
        return { error };
      },
    );
    for (;;) {
      const step = steps.shift();
      if (step !== undefined) {
        yield step;
        if ('report' in step) return;
        continue;
      }
      const arrived = new Promise<undefined>((resolve) => (wake = () => resolve(undefined)));
      const failure = await Promise.race([arrived, failed]);
      if (failure !== undefined) throw failure.error;
    }
  }

  async *verify(lane?: string): AsyncGenerator<Verified> {
    const managers = this.managers(lane);
    const stored = managers.map((manager) => manager.getMetrics()).map(({ l2, l3 }) => l2.entries + l3.entries);
    const { versions } = await this.status();
    const total = stored.reduce((sum, entries) => sum + entries, versions);
    for (const manager of managers) yield* verifyEntries(manager, total);
    yield* verifyCheckpoints(this.app.checkpoints, lane, total);
  }

  private managers(lane: string | undefined): readonly LaneManager[] {
    const { lanes, manager } = this.app;
    return (lane === undefined ? lanes : [lane]).map((name) => manager(name));
  }
}

const STEP = 100;

/** Reads every entry below the lane's memory, without counting as use. */
async function* verifyEntries(manager: LaneManager, total: number): AsyncGenerator<Verified> {
  for (const gate of manager.tiersBelow) {
    if (gate.name === 'l1' || TIER_PLACES[gate.name] === 'server') continue;
    let keys: string[] = [];
    for await (const key of gate.keys(manager.lane)) {
      if (keys.push(key) < STEP) continue;
      yield { place: gate.name, lane: manager.lane, total, ...(await readAll(manager, gate, keys)) };
      keys = [];
      await nextTurn();
    }
    if (keys.length > 0) yield { place: gate.name, lane: manager.lane, total, ...(await readAll(manager, gate, keys)) };
  }
}

type Read = Pick<Verified, 'checked' | 'damaged' | 'damagedCount'>;

/** The tier itself finds and drops what is damaged, counts it as an error and answers as if it were not there. */
async function readAll(manager: LaneManager, gate: GuardedTier, keys: readonly string[]): Promise<Read> {
  const errors = (): number => manager.getMetrics()[gate.name].errors;
  const before = errors();
  const absent: string[] = [];
  for (const key of keys) {
    const lookup = await gate.read(manager.lane, key, 'peek');
    if (lookup.outcome !== 'hit') absent.push(key);
  }
  const damagedCount = Math.min(absent.length, errors() - before);
  return { checked: keys.length, damagedCount, damaged: damagedCount > 0 ? absent : [] };
}

/** Compares every version with its checksum. One that this app cannot rebuild, but that is intact, is sound. */
async function* verifyCheckpoints(
  checkpoints: CheckpointService,
  lane: string | undefined,
  total: number,
): AsyncGenerator<Verified> {
  let checked = 0;
  let damaged: string[] = [];
  for await (const { id, version } of checkpoints.iterate(lane === undefined ? {} : { lane })) {
    checked++;
    const isSound = await checkpoints.getCheckpoint(id, { version }).then(
      () => true,
      (error: unknown) => !isLaneCacheError(error, 'CHECKPOINT_DAMAGED'),
    );
    if (!isSound) damaged.push(`${id}@${version}`);
    if (checked < STEP) continue;
    yield { place: 'checkpoints', checked, damaged, damagedCount: damaged.length, total };
    checked = 0;
    damaged = [];
  }
  yield { place: 'checkpoints', checked, damaged, damagedCount: damaged.length, total };
}
