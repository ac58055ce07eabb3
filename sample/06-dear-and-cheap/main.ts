import { NestFactory } from '@nestjs/core';
import Table from 'cli-table3';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CacheManager, type LaneMetrics } from 'nestjs-lane-cache';
import { Corpus } from '../01-docs-pipeline/corpus/corpus.js';
import { RendererService } from '../01-docs-pipeline/rendering/renderer.service.js';
import { requestsFor } from '../01-docs-pipeline/requests.js';
import { AppModule, type Keeping } from './app.module.js';

const DAYS = 2;

/** The shortest time that each document has taken. */
type Costs = Map<string, number>;

interface Run {
  readonly metrics: LaneMetrics;
  /** Of all that was answered. */
  readonly digest: string;
  /** By the documents' costs: of the time that rendering for every request takes, in percent. */
  readonly saved: number;
  /** How long each of the documents that were kept takes, on average. */
  readonly keptMs: number;
}

/** The same days of requests to a lane that is too small for them, with each policy. */
async function main(): Promise<void> {
  const library = resolve(process.argv[2] ?? 'node_modules');
  const costs: Costs = new Map();
  // The first run finds out what each document costs. It also compiles the renderer, so that new code does not count as dear.
  await run(library, 'nothing', costs);
  const lru = await run(library, 'lru', costs);
  const adaptive = await run(library, 'adaptive', costs);

  const head = ['eviction', 'requests', 'hit rate', 'time saved', 'kept: each takes'];
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const [name, { metrics, saved, keptMs }] of Object.entries({ lru, adaptive })) {
    const { requests, hitRate } = metrics;
    table.push([name, requests, `${hitRate} %`, `${saved.toFixed(1)} %`, `${keptMs.toFixed(1)} ms`]);
  }
  console.log(table.toString());
  const { leader = 'none', shadows = {} } = adaptive.metrics.eviction;
  console.log(`The policy that leads is ${leader}. Each would have saved of late, in percent:`, shadows);

  if (lru.digest !== adaptive.digest) throw new Error('The answers differ.');
  if (adaptive.saved < lru.saved) process.exitCode = 1;
}

async function run(library: string, keeping: Keeping, costs: Costs): Promise<Run> {
  const directory = await mkdtemp(join(tmpdir(), 'dear-and-cheap-'));
  const module = AppModule.of(library, directory, keeping);
  const app = await NestFactory.createApplicationContext(module, { logger: ['error'] });
  try {
    const cache = app.get(CacheManager);
    const renderer = app.get(RendererService);
    const { renderings } = requestsFor(app.get(Corpus));
    const hash = createHash('sha256');
    const spent = { all: 0, computed: 0 };
    for (let day = 0; day < DAYS; day++) {
      for (const path of renderings) {
        const { computed } = cache.getMetrics();
        const startedAt = performance.now();
        hash.update(await renderer.render(path));
        const ms = performance.now() - startedAt;
        if (keeping === 'nothing') costs.set(path, Math.min(ms, costs.get(path) ?? Infinity));
        const cost = costs.get(path) ?? 0;
        spent.all += cost;
        if (cache.getMetrics().computed > computed) spent.computed += cost;
        await new Promise((done) => setImmediate(done));
      }
    }
    await cache.flush();
    return {
      metrics: cache.getMetrics(),
      digest: hash.digest('hex'),
      saved: 100 * (1 - spent.computed / spent.all),
      keptMs: await meanCost(cache, costs),
    };
  } finally {
    await app.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function meanCost(cache: CacheManager, costs: Costs): Promise<number> {
  const kept: number[] = [];
  for await (const { key } of cache.entries()) kept.push(costs.get(key.replace('html:', '')) ?? 0);
  return kept.reduce((sum, ms) => sum + ms, 0) / Math.max(1, kept.length);
}

await main();
