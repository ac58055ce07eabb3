import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  LaneAwareCacheStrategy,
  LaneType,
  measureCachePerformance,
  type CacheManager,
  type CheckpointInfo,
  type EntryView,
  type LaneCacheOptions,
} from '../../lib/index.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { Caches } from '../support/caches.js';
import { runCli } from '../support/fake-terminal.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';

// The snippets of the guide to lane-aware caching, section by section, written with this library.
// Its eviction timeline is in eviction-timeline.spec.ts.

const caches = new Caches();
afterEach(() => caches.close());

const MB = 1_024 ** 2;

/** A cache on a new directory. */
const openOn = async (options: LaneCacheOptions): Promise<CacheManager> =>
  caches.open({ directory: await caches.directory(), ...options });

/** The same directory in the next session. */
const reopen = async (cache: CacheManager, options: LaneCacheOptions): Promise<CacheManager> => {
  await cache.close();
  return caches.open(options);
};

const keysOf = async (cache: CacheManager): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of cache.entries()) keys.push(key);
  return keys.toSorted();
};

/** A computation that counts its calls. */
const counted = <T>(value: T) => {
  const compute = async (): Promise<T> => {
    compute.runs++;
    return value;
  };
  compute.runs = 0;
  return compute;
};

describe('Lane-specific cache policies', () => {
  it.each([
    ['docs', 100, 1_000, 512 * MB, false, 300, true],
    ['standard', 500, 5_000, 1_024 * MB, true, 900, false],
    ['heavy', 1_000, 10_000, 2_048 * MB, true, 1_800, false],
  ] as const)('%s', async (lane, memory, disk, bytes, persistent, ttl, compressed) => {
    const cache = await caches.open({ lane });
    expect(cache.policy).toMatchObject({
      l1: { maxEntries: memory },
      l2: { enabled: true, maxEntries: disk, maxBytes: bytes },
      l3: { enabled: persistent },
      ttlMs: ttl * 1_000,
      compression: { enabled: compressed },
      eviction: 'lru',
    });
    expect(cache.policy.useCases).toHaveLength(3);
  });
});

describe('Basic usage', () => {
  it('computes once, then answers from memory', async () => {
    const cache = await openOn({ lane: 'standard' });
    const expensiveComputation = counted({ answer: 42 });
    const options = { ttl: 600, tags: ['operation', 'batch_1'] };

    const first = await cache.getOrSet('my_operation_result', expensiveComputation, options);
    const second = await cache.getOrSet('my_operation_result', expensiveComputation, options);

    expect([first, second]).toEqual([{ answer: 42 }, { answer: 42 }]);
    expect(expensiveComputation.runs).toBe(1);
  });
});

describe('Checkpoint caching', () => {
  const state = { step: 5, completedTasks: ['task_1', 'task_2', 'task_3'], metadata: { by: 'nightly' } };

  it('restores what an earlier session has saved, and nothing else', async () => {
    const directory = await caches.directory();
    const cache = await caches.open({ directory });
    await cache.snapshots.cacheCheckpoint('workflow_v1_step5', state, 'standard');

    const later = await reopen(cache, { directory });
    expect(await later.snapshots.restoreCheckpoint('workflow_v1_step5')).toEqual(state);
    expect(await later.snapshots.restoreCheckpoint('workflow_v1_step6')).toBeUndefined();
  });
});

describe('Cache invalidation', () => {
  it('removes a key, the keys of a pattern, and everything, also from disk', async () => {
    const directory = await caches.directory();
    const cache = await caches.open({ directory });
    await cache.setMany([
      ['my_operation_result', 1],
      ['workflow:1', 2],
      ['workflow:2', 3],
      ['build:schema', 4],
    ]);
    await cache.flush();

    expect(await cache.invalidate('my_operation_result')).toBe(true);
    expect(await cache.invalidateByPattern('workflow:*')).toBe(2);
    expect(await keysOf(cache)).toEqual(['build:schema']);

    await cache.clearAll();
    expect(await keysOf(cache)).toEqual([]);
    const later = await reopen(cache, { directory });
    expect(await later.getMany(['my_operation_result', 'workflow:1', 'build:schema'])).toEqual(new Map());
  });
});

describe('Performance monitoring', () => {
  it('reports hit rates, entries and checkpoints', async () => {
    const cache = await openOn({ lane: 'standard' });
    await cache.getOrSet('key1', counted('a'));
    await cache.getOrSet('key1', counted('a'));
    await cache.snapshots.cacheCheckpoint('workflow_v1_step5', { step: 5 });
    await cache.flush();

    const metrics = cache.getMetrics();
    expect(`L1 Hit Rate: ${metrics.l1.hitRate.toFixed(1)}%`).toBe('L1 Hit Rate: 50.0%');
    expect(`L2 Entries: ${metrics.l2.entries}`).toBe('L2 Entries: 1');
    const status = await cache.getCheckpointCacheStatus();
    expect(`Cached checkpoints: ${status.cachedCheckpoints}`).toBe('Cached checkpoints: 1');
  });
});

describe('Checkpoint recovery integration', () => {
  class Workflow {
    readonly executed: number[] = [];

    constructor(
      private readonly id: string,
      private readonly cache: CacheManager,
    ) {}

    async executeStep(step: number): Promise<{ step: number }> {
      const checkpointId = `${this.id}_step_${step}`;
      const cached = await this.cache.snapshots.restoreCheckpoint<{ step: number }>(checkpointId);
      if (cached !== undefined) return cached;
      this.executed.push(step);
      const result = { step };
      await this.cache.snapshots.cacheCheckpoint(checkpointId, result, this.cache.lane);
      return result;
    }
  }

  it('runs after a restart only the steps that were not saved', async () => {
    const directory = await caches.directory();
    const cache = await caches.open({ directory, lane: 'heavy' });
    const first = new Workflow('nightly', cache);
    await first.executeStep(1);
    await first.executeStep(2);

    const second = new Workflow('nightly', await reopen(cache, { directory, lane: 'heavy' }));
    expect([await second.executeStep(1), await second.executeStep(2), await second.executeStep(3)]).toEqual([
      { step: 1 },
      { step: 2 },
      { step: 3 },
    ]);
    expect(first.executed).toEqual([1, 2]);
    expect(second.executed).toEqual([3]);
  });
});

describe('Performance optimization integration', () => {
  it('reads metrics and removes old checkpoints', async () => {
    const clock = new FakeClock();
    const cache = await openOn({ clock, checkpoints: { cleanup: false } });
    await cache.snapshots.cacheCheckpoint('old', { step: 1 });
    await clock.advance('8d');
    await cache.snapshots.cacheCheckpoint('new', { step: 2 });

    const { l1, l2 } = cache.getMetrics();
    expect([l1.hitRate, l2.sizeBytes]).toEqual([0, 0]);
    expect(await cache.snapshots.cleanupOldCheckpoints(7)).toMatchObject({ removed: 1 });
    const left: CheckpointInfo[] = [];
    for await (const each of cache.snapshots.iterate()) left.push(each);
    expect(left.map(({ id }) => id)).toEqual(['new']);
  });
});

describe('Hit rate targets', () => {
  it.each([
    ['docs', [60, 75], [5, 10]],
    ['standard', [50, 70], [3, 7]],
    ['heavy', [40, 60], [2, 5]],
  ] as const)('%s', async (lane, hitRate, speedUp) => {
    const cache = await caches.open();
    expect(cache.forLane(lane).getMetrics().policy.targets).toEqual({ hitRate, speedUp });
  });
});

describe('Metrics collection', () => {
  it('has the shape of the guide, in camel case', async () => {
    const cache = await openOn({ lane: 'standard', clock: new FakeClock(Date.parse('2025-10-24T15:30:00Z')) });
    const expensiveOp = counted('result');
    await cache.getOrSet('key1', expensiveOp);
    await cache.getOrSet('key1', expensiveOp);
    await cache.flush();

    expect(cache.getMetrics()).toMatchObject({
      lane: 'standard',
      timestamp: '2025-10-24T15:30:00.000Z',
      l1: { entries: 1, hits: 1, misses: 1, hitRate: 50 },
      l2: { state: 'on', entries: 1, hits: 0, misses: 1 },
      l3: { state: 'on', entries: 1, hits: 0, misses: 1 },
    });
  });
});

describe('Cache statistics', () => {
  it.each(['of a running app', 'of an app that has ended'])('are shown in a terminal, %s', async (when) => {
    const clock = new FakeClock(Date.now() - 8 * 86_400_000);
    const directory = await caches.directory();
    const cache = await caches.open({ directory, clock });
    await cache.snapshots.cacheCheckpoint('old', { step: 1 });
    await clock.advance('8d');
    await cache.getOrSet('key1', counted('result'));
    await cache.getOrSet('key1', counted('result'));
    await cache.flush();
    if (when === 'of an app that has ended') await cache.close();
    const ask = async (...words: readonly string[]): Promise<unknown> => {
      const { exitCode, out } = await runCli(['--directory', directory, '--lane', 'standard', ...words]);
      expect(exitCode).toBe(0);
      return JSON.parse(out);
    };

    expect(await ask('--action', 'metrics')).toMatchObject({ lane: 'standard', l1: { hits: 1, misses: 1 } });
    expect(await ask('--action', 'metrics', '--verbose')).toMatchObject({ policy: { ttlMs: 900_000 } });
    expect(await ask('--action', 'status')).toMatchObject({ cachedCheckpoints: 1 });
    expect(await ask('--action', 'cleanup')).toMatchObject({ removed: 1 });
    expect(await ask('--action', 'status')).toMatchObject({ cachedCheckpoints: 0 });
    await ask('--action', 'clear');
    expect(await ask('keys')).toEqual([]);
  });
});

describe('Performance benchmarking', () => {
  it('counts hits and misses in a separate key space, and times them', async () => {
    const cache = await openOn({ lane: 'standard' });
    const perf = await measureCachePerformance(cache, { iterations: 1_000 });

    expect(perf).toMatchObject({ iterations: 1_000, cacheHits: 900, cacheMisses: 100, hitRate: 90 });
    expect(`Avg Hit Time: ${perf.avgHitTimeMs.toFixed(2)}ms`).toMatch(/^Avg Hit Time: \d+\.\d\dms$/);
    expect(`Avg Miss Time: ${perf.avgMissTimeMs.toFixed(2)}ms`).toMatch(/^Avg Miss Time: \d+\.\d\dms$/);
    expect(cache.getMetrics()).toMatchObject({
      requests: 0,
      l1: { entries: 0 },
      l2: { entries: 0 },
      l3: { entries: 0 },
    });
  });
});

describe('Troubleshooting', () => {
  it('shows a cache that does not work: what was refused, and why', async () => {
    class Picky extends LaneAwareCacheStrategy {
      override shouldCache(): boolean {
        return false;
      }
    }
    const cache = await openOn({ lanes: { standard: { strategy: new Picky() } } });
    const compute = counted('x');
    await cache.getOrSet('key', compute);
    await cache.getOrSet('key', compute);
    expect(compute.runs).toBe(2);
    expect(cache.getMetrics()).toMatchObject({ hitRate: 0, refused: { strategy: 2 } });
  });

  it('bounds memory by the lane, and cleans up checkpoints when asked', async () => {
    const cache = await caches.open({ lane: 'docs' });
    for (let n = 0; n < 150; n++) await cache.set(`page:${n}`, n);
    expect(cache.getMetrics().l1).toMatchObject({ entries: 100, evictions: 50 });
    const onDisk = await openOn({});
    expect(await onDisk.snapshots.cleanupOldCheckpoints()).toMatchObject({ removed: 0 });
  });
});

describe('Key design', () => {
  it('lets hierarchical keys be invalidated by their upper levels', async () => {
    const cache = await caches.open();
    await cache.setMany([
      ['workflow:standard:step_5:result', 1],
      ['validation:test_suite_1:metrics', 2],
      ['build:schema:v1_45', 3],
    ]);
    expect(await cache.invalidateByPattern('workflow:standard:*')).toBe(1);
    expect(await keysOf(cache)).toEqual(['build:schema:v1_45', 'validation:test_suite_1:metrics']);
  });
});

describe('TTL selection', () => {
  it('uses seconds, and the default of the lane', async () => {
    const clock = new FakeClock();
    const cache = await openOn({ clock });
    const ask = (key: string, ttl?: number): Promise<number> =>
      cache.getOrSet(key, () => clock.now(), ttl === undefined ? {} : { ttl });
    const stored = {
      live_metrics: await ask('live_metrics', 60),
      schema_definition: await ask('schema_definition', 3_600),
      most_data: await ask('most_data'),
    };
    const alive = async (): Promise<string[]> => {
      const found = await cache.getMany(Object.keys(stored));
      return [...found.keys()];
    };

    await clock.advance(59);
    expect(await alive()).toEqual(['live_metrics', 'schema_definition', 'most_data']);
    await clock.advance(1);
    expect(await alive()).toEqual(['schema_definition', 'most_data']);
    await clock.advance(840);
    expect(await alive()).toEqual(['schema_definition']);
    await clock.advance(2_700);
    expect(await alive()).toEqual([]);
  });
});

describe('Tagging strategy', () => {
  it('clears a whole batch by a pattern of its tag', async () => {
    const cache = await openOn({});
    const tags = ['batch_run_5', 'validation', 'step_2'];
    await cache.getOrSet('result_1', counted(1), { tags });
    await cache.getOrSet('result_2', counted(2), { tags: ['batch_run_5'] });
    await cache.getOrSet('result_3', counted(3), { tags: ['batch_run_50'] });

    expect(await cache.invalidateByPattern('batch_run_5:*')).toBe(2);
    expect(await keysOf(cache)).toEqual(['result_3']);
  });

  it('clears it by the tag itself too, at a cost that does not depend on the size of the batch', async () => {
    const cache = await openOn({});
    await cache.getOrSet('result_1', counted(1), { tags: ['batch_run_5', 'validation', 'step_2'] });
    await cache.invalidateByTag('validation');
    expect(await cache.has('result_1')).toBe(false);
  });
});

const laneFor = (taskType: string): LaneType => {
  if (taskType === 'build_docs') return LaneType.Docs;
  return ['test', 'validate'].includes(taskType) ? LaneType.Standard : LaneType.Heavy;
};

describe('Lane selection', () => {
  it('gives each kind of task a lane with its own key space', async () => {
    const cache = await caches.open();
    const lanes = ['build_docs', 'test', 'validate', 'reindex'].map((task) => cache.forLane(laneFor(task)));
    expect(lanes.map(({ lane }) => lane)).toEqual(['docs', 'standard', 'standard', 'heavy']);
    await cache.forLane('docs').set('key', 1);
    expect(await cache.forLane('heavy').has('key')).toBe(false);
  });
});

const askWithFallback = async (cache: CacheManager, expensiveOperation: () => Promise<string>): Promise<string> => {
  try {
    return await cache.getOrSet('critical_data', expensiveOperation, { ttl: 300 });
  } catch {
    return 'fallback';
  }
};

describe('Error handling', () => {
  it('needs no fallback when the cache fails: the value is computed and returned', async () => {
    const cache = await openOn({ storage: { minFreeBytes: Number.MAX_SAFE_INTEGER } });
    const compute = counted('value');
    expect([await askWithFallback(cache, compute), await askWithFallback(cache, compute)]).toEqual(['value', 'value']);
    expect(compute.runs).toBe(1);
    await cache.flush();
    expect(cache.getMetrics()).toMatchObject({ l2: { state: 'off', reason: 'disk-full' } });
    const before = cache.getMetrics().refused['disk-full'];
    expect(await cache.getOrSet('next', async () => 1)).toBe(1);
    expect(cache.getMetrics().refused['disk-full']).toBe(before + 1);
    expect(await cache.explain('next')).toMatchObject({ next: 'hit', answeredBy: 'l1' });
  });

  it('rejects with the same error that the operation throws, and stores nothing', async () => {
    const cache = await openOn({});
    const failure = new Error('source down');
    const fail = (): Promise<string> => Promise.reject(failure);
    await expect(cache.getOrSet('critical_data', fail)).rejects.toBe(failure);
    expect(await askWithFallback(cache, fail)).toBe('fallback');
    expect(await cache.has('critical_data')).toBe(false);
  });
});

describe('Custom eviction strategies', () => {
  class ByTag extends LaneAwareCacheStrategy {
    override getEvictionPriority(lane: string, entry: EntryView): number {
      let priority = super.getEvictionPriority(lane, entry);
      if (entry.tags.includes('important')) priority -= 100; // kept longer
      if (entry.tags.includes('temporary')) priority += 100; // goes sooner
      return priority;
    }
  }

  it('evicts temporary entries first and important ones last', async () => {
    const cache = await caches.open({ lanes: { standard: { l1: { maxEntries: 3 }, strategy: new ByTag() } } });
    await cache.set('important', 1, { tags: ['important'] });
    await cache.set('plain', 2);
    await cache.set('temporary', 3, { tags: ['temporary'] });
    await cache.set('fourth', 4, { tags: ['important'] });
    expect(await keysOf(cache)).toEqual(['fourth', 'important', 'plain']);
    await cache.set('fifth', 5, { tags: ['important'] });
    expect(await keysOf(cache)).toEqual(['fifth', 'fourth', 'important']);
  });
});

describeWithRedis({ describe }, 'Distributed cache', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.dispose());

  it('returns on one instance what another one has set, with its ttl', async () => {
    const distributed = { url: server.url, prefix: 'guide' };
    const [one, other] = [await caches.open({ distributed }), await caches.open({ distributed })];
    await one.set('key', { value: 1 }, { ttl: 600 });
    await one.flush();
    expect(await other.get('key')).toEqual({ value: 1 });
    expect(other.getMetrics().l4).toMatchObject({ state: 'on', hits: 1 });
  });
});

describe('Compression support', () => {
  it('stores large values compressed where the lane configures it, and returns them unchanged', async () => {
    const cache = await openOn({ lanes: { heavy: { compression: true } } });
    const value = 'A large value that repeats itself. '.repeat(40_000);
    expect(value.length).toBeGreaterThan(1_000_000);
    const heavy = cache.forLane('heavy');
    const standard = cache.forLane('standard');
    for (const lane of [heavy, standard]) await lane.set('large', value);
    await cache.flush();

    expect(heavy.getMetrics().l2.sizeBytes).toBeLessThan(standard.getMetrics().l2.sizeBytes / 10);
    expect(heavy.policy.compression).toEqual({ enabled: true, minBytes: 1_024, codec: 'brotli' });
    expect(await heavy.get('large')).toBe(value);
  });
});

describe('Migration from a plain dictionary', () => {
  it('has a call for each of its operations', async () => {
    const cache = await openOn({ lane: 'standard' });

    // oldCache[key] = value
    expect(await cache.getOrSet('key', () => 'value')).toBe('value');
    // oldCache.get(key), undefined on a miss
    expect(await cache.getOrSet('key', () => undefined)).toBe('value');
    expect(await cache.getOrSet('other', () => undefined)).toBeUndefined();
    expect(await cache.has('other')).toBe(false);
    // del oldCache[key]
    await cache.invalidate('key');
    expect(await cache.get('key')).toBeUndefined();
    // oldCache.clear()
    await cache.set('key', 'again');
    await cache.clearAll();
    expect(await keysOf(cache)).toEqual([]);
  });
});

describe('Performance tuning checklist', () => {
  it('consists of lane settings that take effect as written', async () => {
    const cache = await openOn({
      lanes: {
        reports: {
          extends: 'docs',
          ttl: '2m',
          l1: { maxEntries: 50, maxBytes: '16MB' },
          l3: { enabled: false },
          strategy: new LaneAwareCacheStrategy(),
          targets: { hitRate: [50, 100] },
        },
      },
      checkpoints: { retention: { maxAgeDays: { reports: 1 } }, cleanup: '0 4 * * *' },
    });
    const reports = cache.forLane('reports');
    expect(reports.policy).toMatchObject({
      ttlMs: 120_000,
      l1: { maxEntries: 50, maxBytes: 16 * MB },
      l2: { enabled: true, maxEntries: 1_000 },
      eviction: 'strategy',
    });
    expect(reports.getMetrics()).toMatchObject({
      l3: { state: 'off', reason: 'policy' },
      policy: { targets: { hitRate: [50, 100] } },
    });
  });
});
