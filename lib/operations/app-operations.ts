import { TIER_PLACES } from '../entries/tier-name.js';
import { getHeapStatistics } from 'node:v8';
import type { EntryInfo } from '../cache/entry-listing.js';
import type { LaneManager } from '../cache/lane-manager.js';
import { measureCachePerformance } from '../benchmark/measure-performance.js';
import type { CheckpointService } from '../checkpoints/checkpoint-service.js';
import { type Clock, nextTurn, type LifeClock } from '../clock/clock.js';
import type { LaneCacheMetrics } from '../metrics/lane-cache-metrics.js';
import type { CleanupOptions } from '../checkpoints/checkpoint.js';
import type { RetentionOptions } from '../checkpoints/retention.js';
import { checkKey } from '../entries/key.js';
import { KeyPattern } from '../entries/pattern.js';
import { checkTags } from '../entries/tags.js';
import type { ListedTier, SearchPosition } from '../cache/entry-search.js';
import type { CleanupStep, EntryPage, EntryQuery, InvalidationPreview, Operations, Verified } from './operations.js';
import { readableJson } from './readable-json.js';
import type { GuardedTier } from '../cache/guarded-tier.js';
import { isLaneCacheError, LaneCacheError } from '../errors/lane-cache.error.js';

interface AppOperationsOptions {
  readonly defaultLane: string;
  readonly lanes: readonly string[];
  /** Throws UnknownLaneError. */
  readonly manager: (lane?: string) => LaneManager;
  readonly metrics: LaneCacheMetrics;
  readonly checkpoints: CheckpointService;
  readonly clock: Clock;
  readonly life: LifeClock;
  /** Absent without a directory. `checkpoints` is the folder of checkpoints. */
  readonly directory?: { readonly path: string; readonly checkpoints: string } | undefined;
  /** Absent without checkpoints. */
  readonly retention: RetentionOptions | undefined;
  readonly instances: Operations['instances'];
}

const BATCH = 200;
const PAGE = 50;
const LARGEST_PAGE = 500;
const LONGEST_VALUE = 256 * 1024;

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

  readonly instances: Operations['instances'] = () => this.app.instances();

  readonly status: Operations['status'] = () => this.app.checkpoints.getCheckpointCacheStatus();

  readonly doctor: Operations['doctor'] = async (lane) => {
    const { directory, retention } = this.app;
    if (lane !== undefined) this.app.manager(lane);
    // Most apps are never asked.
    const { directoryFindings } = await import('../storage/directory/directory-findings.js');
    const { appFindings, soleMaxAgeDays } = await import('./doctor.js');
    const onDisk = directory === undefined ? [] : await directoryFindings(directory.path, directory.checkpoints);
    const maxAgeDays = retention === undefined ? undefined : soleMaxAgeDays(retention.maxAgeDays);
    return [...onDisk, ...(await appFindings({ operations: this, lane, maxAgeDays, kind: 'live' }))];
  };

  readonly search: Operations['search'] = async (query) => {
    const { lanes } = this.app;
    const wanted = query.lane === undefined ? lanes : [this.app.manager(query.lane).lane];
    const limit = Math.min(Math.max(1, query.limit ?? PAGE), LARGEST_PAGE);
    const start = positionIn(query.after, wanted);
    const items: EntryInfo[] = [];
    let scanned = 0;
    let from = start?.from;
    for (let index = start?.index ?? 0; index < wanted.length; index++) {
      const search = { matches: matcherOf(query), tier: query.tier, from, limit: limit - items.length };
      const found = await this.app.manager(wanted[index]).search(search);
      items.push(...found.items);
      scanned += found.scanned;
      if (found.next !== undefined) return { items, next: nameOf(index, found.next), scanned };
      from = undefined;
      const isLast = index + 1 === wanted.length;
      if (items.length >= limit && !isLast) return { items, next: nameOf(index + 1, { tier: 'l1', at: 0 }), scanned };
    }
    return { items, scanned };
  };

  readonly top: Operations['top'] = async (order, lane) => this.app.manager(lane).top(order);

  readonly preview: Operations['preview'] = async (target) => {
    if ('tags' in target) return this.previewOfTags(target.tags);
    const manager = this.app.manager(target.lane);
    if ('key' in target) {
      const { tiers } = await manager.explain(target.key);
      const isThere = tiers.some(({ status }) => status === 'present');
      return { matches: Number(isThere), keys: isThere ? [target.key] : [], isComplete: true };
    }
    const pattern = new KeyPattern(target.pattern);
    return manager.count((key, tags) => pattern.matchesEntry(key, tags));
  };

  readonly value: Operations['value'] = async (key, lane) => {
    const found = await this.app.manager(lane).peek(checkKey(key, lane ?? this.app.defaultLane));
    if (found === undefined) return undefined;
    const text = readableJson(found.value);
    return { tier: found.tier, value: text.slice(0, LONGEST_VALUE), isCut: text.length > LONGEST_VALUE };
  };

  readonly pinCheckpoint: Operations['pinCheckpoint'] = (id, version) => this.app.checkpoints.pin(id, version);

  readonly unpinCheckpoint: Operations['unpinCheckpoint'] = (id, version) => this.app.checkpoints.unpin(id, version);

  readonly forkCheckpoint: Operations['forkCheckpoint'] = (from, to, options) =>
    this.app.checkpoints.fork(from, to, options);

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

  private async previewOfTags(tags: readonly string[]): Promise<InvalidationPreview> {
    const named = new Set(checkTags(tags, this.app.defaultLane));
    const keys: string[] = [];
    let matches = 0;
    let isComplete = true;
    for (const manager of this.managers(undefined)) {
      const counted = await manager.count((_, own) => own.some((tag) => named.has(tag)));
      matches += counted.matches;
      keys.push(...counted.keys);
      isComplete &&= counted.isComplete;
    }
    return { matches, keys: keys.slice(0, 20), isComplete };
  }

  private managers(lane: string | undefined): readonly LaneManager[] {
    const { lanes, manager } = this.app;
    return (lane === undefined ? lanes : [lane]).map((name) => manager(name));
  }
}

function matcherOf({ pattern, tag }: EntryQuery): (key: string, tags: readonly string[]) => boolean {
  const asked = pattern === undefined ? undefined : new KeyPattern(pattern);
  return (key, tags) => (asked?.matchesKey(key) ?? true) && (tag === undefined || tags.includes(tag));
}

const nameOf = (lane: number, { tier, at }: SearchPosition): NonNullable<EntryPage['next']> => `${lane}.${tier}.${at}`;

/** Throws OPTIONS_INVALID for a text that no page had as its `next`. */
function positionIn(
  after: string | undefined,
  lanes: readonly string[],
): { readonly index: number; readonly from: SearchPosition } | undefined {
  if (after === undefined) return undefined;
  const [, lane = '', tier, at = ''] = /^(\d{1,6})\.(l[123])\.(\d{1,16})$/.exec(after) ?? [];
  if (tier !== undefined && Number(lane) < lanes.length) {
    return { index: Number(lane), from: { tier: tier as ListedTier, at: Number(at) } };
  }
  throw new LaneCacheError('OPTIONS_INVALID', "'after' must be the 'next' of a page of the same search.", {
    field: 'after',
  });
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
