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
import { checkKey } from '../cache/validate-call.js';
import { KeyPattern } from '../entries/pattern.js';
import { checkTags } from '../entries/tags.js';
import type { ListedTier, SearchPosition } from '../cache/entry-search.js';
import type {
  AppDescription,
  CheckpointOperations,
  CleanupStep,
  EntryOperations,
  EntryPage,
  EntryQuery,
  InvalidationPreview,
  InvalidationTarget,
  Operations,
  Verified,
} from './operations.js';
import type { Finding } from '../errors/finding.js';
import { readableJson } from './readable-json.js';
import type { GuardedTier } from '../cache/guarded-tier.js';
import { isLaneCacheError, LaneCacheError } from '../errors/lane-cache.error.js';

/** What operations need of an app. */
interface AskedApp {
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
export function operationsOf(app: AskedApp): Operations {
  const operations: Operations = {
    ...entryOperations(app),
    ...checkpointOperations(app),
    describe: async () => describe(app),
    metrics: async () => app.metrics.report(),
    instances: () => app.instances(),
    doctor: (lane) => findings(app, operations, lane),
    verify: (lane) => verify(app, lane),
  };
  return operations;
}

function entryOperations(app: AskedApp): EntryOperations {
  const { manager } = app;
  return {
    explain: async (key, lane) => manager(lane).explain(key),
    search: (query) => search(app, query),
    top: async (order, lane) => manager(lane).top(order),
    preview: (target) => preview(app, target),
    value: async (key, lane) => {
      const found = await manager(lane).peek(checkKey(key, lane ?? app.defaultLane));
      if (found === undefined) return undefined;
      const text = readableJson(found.value);
      return { tier: found.tier, value: text.slice(0, LONGEST_VALUE), isCut: text.length > LONGEST_VALUE };
    },
    entries: (pattern, lane) => entriesInBatches(app, pattern, lane),
    clear: async (lane) => manager(lane).clearAll(),
    invalidateKey: async (key, lane) => manager(lane).invalidate(key),
    invalidatePattern: async (pattern, lane) => manager(lane).invalidateByPattern(pattern),
    invalidateTags: (tags) => manager().invalidateByTag(...tags),
    measure: async (options, lane) => measureCachePerformance(manager(lane), options),
  };
}

function checkpointOperations({ checkpoints }: AskedApp): CheckpointOperations {
  return {
    status: () => checkpoints.getCheckpointCacheStatus(),
    checkpoints: (filter) => checkpoints.list(filter),
    history: (of) => checkpoints.history(of),
    checkpoint: async (id, version) => {
      const found = await checkpoints.getCheckpoint(id, version === undefined ? {} : { version });
      if (found === undefined) return undefined;
      const { state, ...info } = found;
      return { info, state: readableJson(state) };
    },
    removeCheckpoint: (id, version) => checkpoints.invalidateCheckpoint(id, version),
    pinCheckpoint: (id, version) => checkpoints.pin(id, version),
    unpinCheckpoint: (id, version) => checkpoints.unpin(id, version),
    forkCheckpoint: (from, to, options) => checkpoints.fork(from, to, options),
    invalidateWorkflow: (workflow) => checkpoints.invalidateWorkflow(workflow),
    finishWorkflow: (workflow) => checkpoints.finish(workflow),
    cleanup: (options) => checkpoints.cleanupOldCheckpoints(options),
    cleaning: (options) => cleaning(checkpoints, options),
  };
}

function describe({ defaultLane, lanes, manager, clock, life }: AskedApp): AppDescription {
  const { rss, heapUsed } = process.memoryUsage();
  return {
    pid: process.pid,
    defaultLane,
    policies: lanes.map((lane) => manager(lane).policy),
    memory: { rssBytes: rss, heapUsedBytes: heapUsed, heapLimitBytes: getHeapStatistics().heap_size_limit },
    time: { wall: clock.now(), life: life.now() },
  };
}

async function findings(
  { directory, retention, manager }: AskedApp,
  operations: Operations,
  lane: string | undefined,
): Promise<readonly Finding[]> {
  if (lane !== undefined) manager(lane);
  // Most apps are never asked.
  const { directoryFindings } = await import('../storage/directory/directory-findings.js');
  const { appFindings, soleMaxAgeDays } = await import('./doctor.js');
  const onDisk = directory === undefined ? [] : await directoryFindings(directory.path, directory.checkpoints);
  const maxAgeDays = retention === undefined ? undefined : soleMaxAgeDays(retention.maxAgeDays);
  return [...onDisk, ...(await appFindings({ operations, lane, maxAgeDays, kind: 'live' }))];
}

async function search({ lanes, manager }: AskedApp, query: EntryQuery): Promise<EntryPage> {
  const wanted = query.lane === undefined ? lanes : [manager(query.lane).lane];
  const limit = Math.min(Math.max(1, query.limit ?? PAGE), LARGEST_PAGE);
  const start = positionIn(query.after, wanted);
  const items: EntryInfo[] = [];
  let scanned = 0;
  let from = start?.from;
  for (let index = start?.index ?? 0; index < wanted.length; index++) {
    const asked = { matches: matcherOf(query), tier: query.tier, from, limit: limit - items.length };
    const found = await manager(wanted[index]).search(asked);
    items.push(...found.items);
    scanned += found.scanned;
    if (found.next !== undefined) return { items, next: nameOf(index, found.next), scanned };
    from = undefined;
    const isLast = index + 1 === wanted.length;
    if (items.length >= limit && !isLast) return { items, next: nameOf(index + 1, { tier: 'l1', at: 0 }), scanned };
  }
  return { items, scanned };
}

async function preview(app: AskedApp, target: InvalidationTarget): Promise<InvalidationPreview> {
  if ('tags' in target) return previewOfTags(app, target.tags);
  const manager = app.manager(target.lane);
  if ('key' in target) {
    const { tiers } = await manager.explain(target.key);
    const isThere = tiers.some(({ status }) => status === 'present');
    return { matches: Number(isThere), keys: isThere ? [target.key] : [], isComplete: true };
  }
  const pattern = new KeyPattern(target.pattern);
  return manager.count((key, tags) => pattern.matchesEntry(key, tags));
}

async function* entriesInBatches(app: AskedApp, pattern?: string, lane?: string): AsyncGenerator<readonly EntryInfo[]> {
  let batch: EntryInfo[] = [];
  for (const manager of managersOf(app, lane)) {
    for await (const entry of manager.entries(pattern)) {
      if (batch.push(entry) < BATCH) continue;
      yield batch;
      batch = [];
    }
  }
  yield batch;
}

/** What the cleanup reports arrives as calls, and leaves as an iteration. */
async function* cleaning(checkpoints: CheckpointService, options: CleanupOptions): AsyncGenerator<CleanupStep> {
  const steps: CleanupStep[] = [];
  let wake = (): void => undefined;
  const add = (step: CleanupStep): void => {
    steps.push(step);
    wake();
  };
  const cleanup = checkpoints.cleanupOldCheckpoints(options, (removed) => add({ removed }));
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

async function* verify(app: AskedApp, lane?: string): AsyncGenerator<Verified> {
  const managers = managersOf(app, lane);
  const stored = managers.map((manager) => manager.getMetrics()).map(({ l2, l3 }) => l2.entries + l3.entries);
  const { versions } = await app.checkpoints.getCheckpointCacheStatus();
  const total = stored.reduce((sum, entries) => sum + entries, versions);
  for (const manager of managers) yield* verifyEntries(manager, total);
  yield* verifyCheckpoints(app.checkpoints, lane, total);
}

async function previewOfTags(app: AskedApp, tags: readonly string[]): Promise<InvalidationPreview> {
  const named = new Set(checkTags(tags, app.defaultLane));
  const keys: string[] = [];
  let matches = 0;
  let isComplete = true;
  for (const manager of managersOf(app, undefined)) {
    const counted = await manager.count((_, own) => own.some((tag) => named.has(tag)));
    matches += counted.matches;
    keys.push(...counted.keys);
    isComplete &&= counted.isComplete;
  }
  return { matches, keys: keys.slice(0, 20), isComplete };
}

function managersOf({ lanes, manager }: AskedApp, lane: string | undefined): readonly LaneManager[] {
  return (lane === undefined ? lanes : [lane]).map((name) => manager(name));
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
