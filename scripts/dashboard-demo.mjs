// An app with a busy cache for the page of the dashboard: `node scripts/dashboard-demo.mjs` serves it. Needs `npm run build`.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { CacheManager, LaneCacheModule } from '../dist/esm/index.js';

/** Everyone may do everything: this app is for looking at. */
const EVERYONE = { canActivate: () => true };

const LANES = {
  docs: { description: 'Rendered pages of the documentation', l1: { maxEntries: 120 } },
  standard: { description: 'Answers of the API, by customer' },
  heavy: { description: 'Indexes and model outputs that take seconds' },
  thumbnails: {
    extends: 'docs',
    description: 'Small pictures, as many as fit',
    useCases: ['product lists', 'search results'],
    l1: { maxEntries: 40, maxBytes: '2MB' },
    l2: { maxEntries: 60, maxBytes: '4MB' },
    targets: { hitRate: [70, 90] },
  },
};

/** Opens the app at a free port of the loopback interface. */
export async function openDemo(port = 0) {
  const directory = await mkdtemp(join(tmpdir(), 'lane-cache-demo-'));
  const module = LaneCacheModule.forRoot({
    directory,
    lanes: LANES,
    version: '2026.11',
    logger: false,
    dashboard: { guards: [EVERYONE], peek: true },
  });
  const app = await NestFactory.create(module, { logger: false });
  await app.listen(port, '127.0.0.1');
  const cache = app.get(CacheManager);
  const stopped = new AbortController();
  const close = async () => {
    stopped.abort();
    await app.close();
    await rm(directory, { recursive: true, force: true });
  };
  return { url: `${await app.getUrl()}/lane-cache/dashboard/`, cache, close, signal: stopped.signal };
}

/** A few seconds of work in every lane, and checkpoints of two workflows. */
export async function fill(cache) {
  for (let n = 0; n < 12; n++) {
    const workflow = n % 2 === 0 ? 'import-catalogue' : 'nightly-report';
    const state = { step: n, rows: Array.from({ length: 40 }, (_, row) => ({ row, ok: true })) };
    await cache.snapshots.cacheCheckpoint(`${workflow}:${n >> 1}`, state, { workflow, step: n >> 1, lane: 'heavy' });
  }
  await cache.snapshots.pin('nightly-report:2');
  for (let round = 0; round < 40; round++) await oneRound(cache, round);
}

export async function oneRound(cache, round) {
  const draw = (most) =>
    Math.floor(most * ((Math.sin(round * 12.9898 + most * 78.233 + calls++) * 43758.5453) % 1) ** 2);
  const jobs = [];
  for (let n = 0; n < 24; n++) {
    const page = draw(160);
    jobs.push(
      cache.forLane('docs').getOrSet(`page:${page}`, () => work(2, 6_000), { tags: ['docs', `book:${page % 7}`] }),
    );
    const customer = draw(90);
    jobs.push(
      cache.forLane('standard').getOrSet(`customer:${customer}:orders`, () => work(6, 1_800), {
        tags: [`customer:${customer}`, 'orders'],
      }),
    );
    if (n % 3 === 0)
      jobs.push(cache.forLane('heavy').getOrSet(`index:${draw(14)}`, () => work(40, 60_000), { tags: ['index'] }));
    const picture = Math.floor(round * 7 + n) % 400;
    jobs.push(cache.forLane('thumbnails').getOrSet(`thumb:${picture}`, () => work(3, 30_000)));
  }
  if (round % 9 === 0) await cache.invalidateByTag(`customer:${draw(90)}`);
  await Promise.all(jobs);
}

let calls = 0;

async function work(ms, bytes) {
  await sleep(ms);
  return { made: calls++, text: 'x'.repeat(bytes) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url, cache, signal } = await openDemo(Number(process.argv[2] ?? 3300));
  process.stdout.write(`${url}\n`);
  await fill(cache);
  for (let round = 40; !signal.aborted; round++) {
    await oneRound(cache, round);
    await sleep(200);
  }
}
