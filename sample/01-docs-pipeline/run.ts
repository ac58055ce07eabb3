import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { inspect } from 'node:util';
import type { INestApplicationContext } from '@nestjs/common';
import { CacheManager, type LaneMetrics } from 'nestjs-lane-cache';
import { Corpus } from './corpus/corpus.js';
import { LinterService } from './linting/linter.service.js';
import type { Lane, LaneReport } from './messages.js';
import { RendererService } from './rendering/renderer.service.js';
import { requestsFor } from './requests.js';
import { SearchService } from './searching/search.service.js';

export type OnProgress = (lane: Lane, done: number, total: number) => void;

interface LaneWork {
  readonly lane: Lane;
  readonly documents: number;
  readonly requests: readonly (() => Promise<unknown>)[];
}

/** Serves a day of requests, lane by lane, one after the other. */
export async function serveDay(app: INestApplicationContext, onProgress: OnProgress): Promise<readonly LaneReport[]> {
  const cache = app.get(CacheManager);
  const reports: LaneReport[] = [];
  for (const work of workOf(app)) {
    reports.push(await serveLane(work, cache.forLane(work.lane), onProgress));
  }
  return reports;
}

function workOf(app: INestApplicationContext): readonly LaneWork[] {
  const [corpus, renderer, linter, search] = [
    app.get(Corpus),
    app.get(RendererService),
    app.get(LinterService),
    app.get(SearchService),
  ];
  const { renderings, checks, searches } = requestsFor(corpus);
  return [
    {
      lane: 'docs',
      documents: new Set(renderings).size,
      requests: renderings.map((path) => () => renderer.render(path)),
    },
    {
      lane: 'standard',
      documents: new Set(checks).size,
      requests: checks.map((path) => () => linter.check(path)),
    },
    {
      lane: 'heavy',
      documents: corpus.paths.length,
      requests: searches.map(
        ({ shelf, query }) =>
          () =>
            search.search(shelf, query),
      ),
    },
  ];
}

async function serveLane(work: LaneWork, cache: CacheManager, onProgress: OnProgress): Promise<LaneReport> {
  const { lane, documents, requests } = work;
  const before = cache.getMetrics();
  const startedAt = performance.now();
  const outputs: unknown[] = [];
  for (const request of requests) {
    outputs.push(await request());
    onProgress(lane, outputs.length, requests.length);
    // Each request reaches a server in its own turn of the event loop
    await nextTurn();
  }
  const wallMs = performance.now() - startedAt;
  return { lane, documents, wallMs, digest: digestOf(outputs), ...difference(before, cache.getMetrics()) };
}

function difference(
  before: LaneMetrics,
  after: LaneMetrics,
): Pick<LaneReport, 'requests' | 'hits' | 'misses' | 'targets'> {
  return {
    requests: after.requests - before.requests,
    hits: {
      l1: after.l1.hits - before.l1.hits,
      l2: after.l2.hits - before.l2.hits,
      l3: after.l3.hits - before.l3.hits,
    },
    misses: after.misses - before.misses,
    targets: after.policy.targets,
  };
}

/** Distinguishes values by type too: a date from its text, a map from an object. */
function digestOf(outputs: readonly unknown[]): string {
  const whole = {
    depth: Infinity,
    maxArrayLength: Infinity,
    maxStringLength: Infinity,
    compact: true,
    breakLength: Infinity,
  };
  const hash = createHash('sha256');
  for (const output of outputs) hash.update(inspect(output, whole)).update('\0');
  return hash.digest('hex');
}
