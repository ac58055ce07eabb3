import { afterEach, describe, expect, it } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { nextTurn } from '../../lib/clock/clock.js';
import { CacheManager, LaneCacheMetrics, LaneCacheModule } from '../../lib/index.js';
import { parsePage, sumOf } from '../support/prometheus-text.js';

const LANES = ['docs', 'standard', 'heavy'] as const;
const CALLERS = 8;
const CALLS = 150;

type Page = ReturnType<typeof parsePage>;

/** Asks for keys in many ways at once, and keeps count of what it asked for and what came of it. */
class Load {
  readonly counts = { asked: 0, answered: 0, computed: 0, failed: 0, forced: 0, unstorable: 0, invalidated: 0 };

  constructor(private readonly cache: CacheManager) {}

  async run(): Promise<void> {
    await Promise.all(Array.from({ length: CALLERS }, (_, caller) => this.call(caller)));
  }

  private async call(caller: number): Promise<void> {
    for (let n = 0; n < CALLS; n++) {
      const manager = this.cache.forLane(LANES[(n + caller) % LANES.length] ?? 'docs');
      const step = n * CALLERS + caller;
      if (step % 23 === 0) await this.invalidate(manager, step);
      else if (step % 7 === 0) await this.many(manager, step);
      else await this.one(manager, step);
    }
  }

  private async one(manager: CacheManager, step: number): Promise<void> {
    const key = `key:${step % 40}`;
    const forceFresh = step % 11 === 0;
    this.counts.asked++;
    if (forceFresh) this.counts.forced++;
    await manager.getOrSet(key, () => this.compute(step), { forceFresh }).catch(() => undefined);
    this.counts.answered++;
  }

  private async many(manager: CacheManager, step: number): Promise<void> {
    const keys = [`key:${step % 40}`, `many:${step % 9}`, `many:${(step + 1) % 9}`];
    this.counts.asked += 3;
    await (step % 2 === 0
      ? manager.getMany(keys)
      : manager.getOrSetMany(keys, async (missing) => {
          this.counts.computed += missing.length;
          await nextTurn();
          return new Map(missing.map((key) => [key, step]));
        }));
    this.counts.answered += 3;
  }

  private async invalidate(manager: CacheManager, step: number): Promise<void> {
    this.counts.invalidated++;
    await manager.invalidate(`key:${step % 40}`);
  }

  private async compute(step: number): Promise<unknown> {
    await nextTurn();
    if (step % 13 === 0) {
      this.counts.failed++;
      throw new Error('source');
    }
    this.counts.computed++;
    if (step % 17 !== 0) return { step };
    this.counts.unstorable++;
    return () => step;
  }
}

/** What must hold on every page, however much is under way. */
function expectSums(page: Page): void {
  for (const lane of LANES) {
    const of = (name: string, labels: Readonly<Record<string, string>> = {}): number =>
      sumOf(page, `lane_cache_${name}`, { lane, ...labels });
    expect(of('requests_total')).toBe(of('hits_total') + of('misses_total') + of('bypassed_total'));
    expect(of('compute_seconds_count')).toBe(of('computations_total', { outcome: 'ok' }));
    expect(of('joined_total')).toBeLessThanOrEqual(of('misses_total'));
  }
}

describe.each(['express', 'fastify'] as const)('the page for Prometheus, on %s', (platform) => {
  let app: INestApplication;
  let directory: string;

  const boot = async (): Promise<CacheManager> => {
    directory = await mkdtemp(join(tmpdir(), 'lane-cache-prometheus-'));
    const options = { directory, storage: { minFreeBytes: 0 }, metrics: { controller: true } } as const;
    const compiled = await Test.createTestingModule({ imports: [LaneCacheModule.forRoot(options)] }).compile();
    app =
      platform === 'express' ? compiled.createNestApplication() : compiled.createNestApplication(new FastifyAdapter());
    await app.listen(0, '127.0.0.1');
    return app.get(CacheManager);
  };
  afterEach(async () => {
    await app.close();
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  });

  const scrape = async (): Promise<Page> =>
    parsePage(await (await fetch(`${await app.getUrl()}/lane-cache/metrics/prometheus`)).text());

  it('counts the failures of what the app handed in', async () => {
    const cache = await boot();
    cache.events.on('store', () => {
      throw new Error('mine');
    });
    await cache.set('k', 1);
    const of = (page: Page, collaborator: string): number => sumOf(page, 'lane_cache_faults_total', { collaborator });
    const page = await scrape();
    expect([of(page, 'listener'), of(page, 'strategy')]).toEqual([1, 0]);
  });

  it('agrees with the counts of the load generator, during the load and after it', async () => {
    const load = new Load(await boot());
    let isOver = false;
    const over = load.run().then(() => (isOver = true));
    let scrapes = 0;
    let requests = 0;
    for (; !isOver || scrapes === 0; scrapes++) {
      const answered = load.counts.answered;
      const page = await scrape();
      expectSums(page);
      const counted = sumOf(page, 'lane_cache_requests_total');
      expect(counted).toBeGreaterThanOrEqual(Math.max(answered, requests));
      expect(counted).toBeLessThanOrEqual(load.counts.asked);
      requests = counted;
    }
    await over;

    const page = await scrape();
    expectSums(page);
    const all = (name: string, labels: Readonly<Record<string, string>> = {}): number =>
      sumOf(page, `lane_cache_${name}`, labels);
    expect({
      asked: all('requests_total'),
      answered: all('hits_total') + all('misses_total') + all('bypassed_total'),
      computed: all('computations_total', { outcome: 'ok' }),
      failed: all('computations_total', { outcome: 'failed' }),
      forced: all('bypassed_total', { reason: 'forced' }),
      unstorable: all('refused_total', { reason: 'unstorable' }),
      invalidated: all('invalidations_total', { kind: 'key' }),
    }).toEqual(load.counts);
    expect(all('compute_seconds_count')).toBe(load.counts.computed);
    expect(all('hits_total', { tier: 'l1' })).toBeGreaterThan(0);
    expect(scrapes).toBeGreaterThan(1);
  });

  it('is the same on a registry of the app', async () => {
    const cache = await boot();
    const registry = new Registry();
    await app.get(LaneCacheMetrics).registerWith(registry);
    const over = new Load(cache).run();
    expectSums(parsePage(await registry.metrics()));
    await over;
    await cache.flush();
    const own = parsePage(await registry.metrics());
    expectSums(own);
    expect([...own]).toEqual([...(await scrape())]);
  });
});

describe('the reader of these pages', () => {
  const head = '# HELP m What.\n# TYPE m counter\n';
  const histogram = '# HELP h What.\n# TYPE h histogram\n';

  it('reads values and labels', () => {
    const page = parsePage(`${head}m{a="\\"x\\\\\\n",b=""} 1.5e3\nm{a="y"} +Inf\n`);
    expect(page.get('m')?.lines.map(({ labels, value }) => [[...labels], value])).toEqual([
      [
        [
          ['a', '"x\\\n'],
          ['b', ''],
        ],
        1_500,
      ],
      [[['a', 'y']], Infinity],
    ]);
  });

  it.each([
    ['a line that does not end', `${head}m 1`],
    ['a metric without a type', 'm 1\n'],
    ['another metric among the lines of one', `${head}m 1\nn 1\n`],
    ['a series twice', `${head}m{a="1"} 1\nm{a="1"} 2\n`],
    ['a metric in two places', `${head}m 1\n${histogram}${head}`],
    ['labels without quotes', `${head}m{a=1} 1\n`],
    ['a comma behind the last label', `${head}m{a="1",} 1\n`],
    ['a value that is no number', `${head}m one\n`],
    ['a counter below 0', `${head}m -1\n`],
    ['buckets that fall', `${histogram}h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n`],
    ['buckets that end early', `${histogram}h_bucket{le="1"} 1\nh_sum 1\nh_count 1\n`],
  ])('refuses %s', (_what, text) => {
    expect(() => parsePage(text)).toThrow(/format|does not end/);
  });
});
