import * as jest from '@jest/globals';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { context, metrics, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { TracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLaneCache } from '../../lib/app/cache-app.js';
import { nextTurn } from '../../lib/clock/clock.js';
import { CacheManager, LaneCacheModule, type LaneCacheModuleOptions } from '../../lib/index.js';
import { Deferred } from '../support/deferred.js';
import { type CollectedSpan, OtlpCollector, textOf } from '../support/otlp-collector.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';

describe('telemetry through the SDK and an OTLP exporter', () => {
  let collector: OtlpCollector;
  let tracers: TracerProvider;
  let meters: MeterProvider;
  let directory: string;

  beforeAll(async () => {
    collector = await OtlpCollector.open();
    directory = await mkdtemp(join(tmpdir(), 'lane-cache-telemetry-'));
    const exporter = new OTLPTraceExporter({ url: `${collector.url}/v1/traces` });
    tracers = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
    const reader = new PeriodicExportingMetricReader({
      exporter: new OTLPMetricExporter({ url: `${collector.url}/v1/metrics` }),
      exportIntervalMillis: 3_600_000,
    });
    meters = new MeterProvider({ readers: [reader] });
    trace.setGlobalTracerProvider(tracers);
    metrics.setGlobalMeterProvider(meters);
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  });
  afterAll(async () => {
    await tracers.shutdown();
    await meters.shutdown();
    for (const api of [trace, metrics, context]) api.disable();
    collector.close();
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  });

  async function within(
    options: LaneCacheModuleOptions,
    use: (cache: CacheManager) => Promise<void>,
  ): Promise<readonly CollectedSpan[]> {
    collector.spans.length = 0;
    const settings = { directory, storage: { minFreeBytes: 0 }, logger: false, ...options } as const;
    const app = await Test.createTestingModule({ imports: [LaneCacheModule.forRoot(settings)] }).compile();
    await app.init();
    try {
      await use(app.get(CacheManager));
      await tracers.forceFlush();
      await meters.forceFlush();
    } finally {
      await app.close();
    }
    return collector.spans;
  }

  const tracer = () => trace.getTracer('caller');
  const named = (spans: readonly CollectedSpan[], name: string): readonly CollectedSpan[] =>
    spans.filter((span) => span.name === name);

  it('a computation is a span in the trace of its caller, and what it calls is part of it', async () => {
    const spans = await within({ telemetry: true }, async (cache) => {
      await tracer().startActiveSpan('caller', async (caller) => {
        await cache.getOrSet('a', async () => {
          await tracer().startActiveSpan('inner', async (inner) => inner.end());
          return 1;
        });
        caller.end();
      });
    });
    const [caller, computed, inner] = ['caller', 'compute standard', 'inner'].map((name) => named(spans, name)[0]);
    expect(computed?.parentSpanId).toBe(caller?.spanId);
    expect(inner?.parentSpanId).toBe(computed?.spanId);
    expect(named(spans, 'look up l3')[0]).toMatchObject({ traceId: caller?.traceId, parentSpanId: caller?.spanId });
    expect(textOf(named(spans, 'look up l3')[0]?.attributes ?? [], 'lane_cache.outcome')).toBe('miss');
    expect(JSON.stringify(spans)).not.toContain('lane_cache.key');
  });

  it('a caller who joins is linked to the computation it waits for, in a trace of its own', async () => {
    const spans = await within({ telemetry: true }, async (cache) => {
      let finish = (): void => undefined;
      const running = new Promise<void>((resolve) => (finish = resolve));
      const ask = (name: string): Promise<unknown> =>
        tracer().startActiveSpan(name, (span) =>
          cache.getOrSet('joined', () => running.then(() => 1)).finally(() => span.end()),
        );
      const both = [ask('first'), ask('second')];
      finish();
      await Promise.all(both);
    });
    const [computed] = named(spans, 'compute standard');
    const [joined] = named(spans, 'join standard');
    expect(named(spans, 'compute standard')).toHaveLength(1);
    expect(joined?.parentSpanId).toBe(named(spans, 'second')[0]?.spanId);
    expect(joined?.links?.map(({ spanId }) => spanId)).toEqual([computed?.spanId]);
  });

  it('a computation that fails is an error with its type, and the caller gets it as it is', async () => {
    const failure = new TypeError('no');
    const spans = await within({ telemetry: true }, async (cache) => {
      await expect(cache.getOrSet('failing', () => Promise.reject(failure))).rejects.toBe(failure);
    });
    const [span] = named(spans, 'compute standard');
    expect(span?.status?.code).toBe(2);
    expect(textOf(span?.attributes ?? [], 'error.type')).toBe('TypeError');
  });

  it('checkpoints are spans', async () => {
    const spans = await within({ telemetry: true }, async (cache) => {
      await cache.snapshots.cacheCheckpoint('run', { step: 1 });
      expect(await cache.snapshots.restoreCheckpoint('run')).toEqual({ step: 1 });
    });
    expect(named(spans, 'checkpoint save')).toHaveLength(1);
    expect(named(spans, 'checkpoint read').length).toBeGreaterThan(0);
  });

  it('the wait for another process of the directory is a span in the trace of its caller', async () => {
    const lanes = { host: { extends: 'standard', l4: { coalesce: 'host' } } } as const;
    const spans = await within({ telemetry: true, lanes }, async (cache) => {
      const storage = { minFreeBytes: 0, sweepEvery: false } as const;
      const other = await createLaneCache({ directory, lanes, storage, logger: false });
      const [begun, gate] = [new Deferred<void>(), new Deferred<number>()];
      const computing = other.manager('host').getOrSet('turn', () => {
        begun.resolve();
        return gate.promise;
      });
      await begun.promise;
      await tracer().startActiveSpan('waiter', async (waiter) => {
        const waiting = cache.forLane('host').getOrSet('turn', () => 2);
        // so that it asks while the other one computes
        for (let turn = 0; turn < 200; turn++) await nextTurn();
        gate.resolve(1);
        expect(await Promise.all([computing, waiting])).toEqual([1, 1]);
        waiter.end();
      });
      await other.close();
    });
    const [waiter, waited] = ['waiter', 'wait for a turn'].map((name) => named(spans, name)[0]);
    expect(waited).toMatchObject({ traceId: waiter?.traceId, parentSpanId: waiter?.spanId });
    expect(textOf(waited?.attributes ?? [], 'lane_cache.lane')).toBe('host');
    expect(named(spans, 'compute host')).toHaveLength(0);
  });

  describeWithRedis(
    jest,
    'with a server',
    () => {
      let server: RedisServer;
      beforeAll(async () => {
        server = await RedisServer.start();
      });
      afterAll(() => server.dispose());

      // a busy server is no fault, and each try has keys of its own
      const unshared = () => ({ url: server.url, prefix: randomUUID(), commandTimeout: '5s' }) as const;

      it('a look-up on it is a span of a client of Redis', async () => {
        const distributed = unshared();
        const spans = await within({ telemetry: true, directory: false, distributed }, async (cache) => {
          await cache.getOrSet('k', () => 1);
          await cache.flush();
          await tracer().startActiveSpan('caller', async (caller) => {
            await cache.getOrSet('other', () => 1);
            caller.end();
          });
        });
        const looked = named(spans, 'look up l4');
        expect(looked).toHaveLength(2);
        const [caller] = named(spans, 'caller');
        expect(looked[1]).toMatchObject({ kind: 3, traceId: caller?.traceId, parentSpanId: caller?.spanId });
        expect(textOf(looked[1]?.attributes ?? [], 'db.system.name')).toBe('redis');
        expect(textOf(looked[1]?.attributes ?? [], 'lane_cache.outcome')).toBe('miss');
      });

      it('the wait of a process that was held up for the log is a span', async () => {
        const distributed = unshared();
        const spans = await within({ telemetry: true, directory: false, distributed }, async (cache) => {
          await cache.getOrSet('k', () => 1);
          // longer than an instance counts as up to date
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_100);
          await tracer().startActiveSpan('late', async (late) => {
            await cache.getOrSet('k', () => 2);
            late.end();
          });
        });
        const [late, waited] = ['late', 'wait for the log'].map((name) => named(spans, name)[0]);
        expect(waited).toMatchObject({ traceId: late?.traceId, parentSpanId: late?.spanId });
      });
    },
    'own',
  );

  it('keys and hits in memory are in spans only where they are asked for', async () => {
    const hit = async (cache: CacheManager): Promise<void> => {
      await cache.getOrSet('k', () => 1);
      await cache.getOrSet('k', () => 1);
    };
    expect(named(await within({ telemetry: true, directory: false }, hit), 'hit standard')).toHaveLength(0);
    const spans = await within({ telemetry: { spans: 'all', keys: true }, directory: false }, hit);
    expect(named(spans, 'hit standard').map(({ attributes }) => textOf(attributes, 'lane_cache.key'))).toEqual(['k']);
    expect(await within({ telemetry: { spans: 'none' }, directory: false }, hit)).toHaveLength(0);
  });

  it('metrics have the units of the conventions, and the numbers of the app', async () => {
    await within({ telemetry: true, directory: false }, async (cache) => {
      for (const key of ['a', 'b', 'a', 'a']) await cache.forLane('docs').getOrSet(key, () => 'x');
      await meters.forceFlush();
      const lane = { 'lane_cache.lane': 'docs' };
      expect(collector.value('lane_cache.requests', lane)).toBe(4);
      expect(collector.value('lane_cache.hits', { ...lane, 'lane_cache.tier': 'l1' })).toBe(2);
      expect(collector.value('lane_cache.misses', lane)).toBe(2);
      expect(collector.value('lane_cache.compute.duration', lane)).toBe(2);
      expect(collector.value('lane_cache.size', { ...lane, 'lane_cache.tier': 'l1' })).toBe(
        cache.forLane('docs').getMetrics().l1.sizeBytes,
      );
      expect(
        ['requests', 'size', 'time_saved', 'compute.duration'].map((name) => collector.unitOf(`lane_cache.${name}`)),
      ).toEqual(['{request}', 'By', 's', 's']);
      expect(JSON.stringify(collector.metrics)).not.toContain('"a"');
    });
  });
});
