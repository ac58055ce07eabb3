import * as jest from '@jest/globals';
import { expect, it } from '@jest/globals';
import { metrics as otel } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import type { LaneMetrics } from '../../lib/index.js';
import { BROWSERS } from '../support/browser.js';
import { buildPage, DashboardApp, DashboardBrowser, type DashboardTab } from '../support/dashboard.js';
import { runCli } from '../support/fake-terminal.js';
import { describeWithProgram } from '../support/installed.js';
import { OtlpCollector } from '../support/otlp-collector.js';
import { parsePage } from '../support/prometheus-text.js';

/** The numbers that every view shows. */
interface Numbers {
  readonly requests: number;
  readonly memoryHits: number;
  readonly misses: number;
  readonly computed: number;
  readonly failed: number;
  readonly bypassed: number;
  readonly refused: number;
  readonly invalidated: number;
  readonly entries: number;
  readonly checkpoints: number;
}

const LANE = 'standard';

async function load({ cache }: DashboardApp): Promise<void> {
  const draw = (n: number): string => `key:${(n * n) % 17}`;
  for (let n = 0; n < 200; n++) await cache.getOrSet(draw(n), () => n, { tags: [`tag:${n % 3}`] });
  for (let n = 0; n < 9; n++) await cache.getOrSet(`f:${n}`, () => Promise.reject(new Error('no'))).catch(() => 0);
  for (let n = 0; n < 7; n++) await cache.getOrSet(draw(n), () => 1, { forceFresh: n > 3, ttl: n > 3 ? '1h' : 0 });
  for (let n = 0; n < 5; n++) await cache.getOrSet(`u:${n}`, () => undefined);
  await cache.invalidateByTag('tag:1');
  await cache.invalidate('key:4');
  for (const id of ['a', 'b', 'c']) await cache.snapshots.cacheCheckpoint(id, { id }, { lane: LANE });
  await cache.flush();
}

const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0);

const ofLane = (lane: LaneMetrics, checkpoints: number): Numbers => ({
  requests: lane.requests,
  memoryHits: lane.l1.hits,
  misses: lane.misses,
  computed: lane.computed,
  failed: lane.failed,
  bypassed: sum(lane.bypassed),
  refused: sum(lane.refused),
  invalidated: sum(lane.invalidations),
  entries: lane.l1.entries,
  checkpoints,
});

async function onThePage(tab: DashboardTab): Promise<Numbers> {
  const number = (text: string | null): number =>
    Number(/-?[\d,]+/.exec(text ?? '')?.[0].replaceAll(',', '') ?? Number.NaN);
  const { page } = tab;
  const fact = async (name: string): Promise<number> =>
    number(await page.locator('.facts > div', { hasText: name }).locator('dd').first().textContent());
  const card = async (name: string): Promise<number> =>
    number(await page.getByRole('region', { name }).locator('header .num').textContent());
  const memory = page.getByRole('region', { name: 'Tiers' }).getByRole('row').filter({ hasText: 'Memory' });
  const cell = async (index: number): Promise<number> =>
    number(await memory.getByRole('cell').nth(index).textContent());
  await tab.go(`#/lane/${LANE}`);
  await tab.sees('Policy');
  const shown = {
    requests: await fact('Requests'),
    memoryHits: await cell(3),
    computed: await fact('Computed'),
    failed: await fact('Failed'),
    bypassed: await card('Went past the cache'),
    refused: await card('Not stored'),
    invalidated: await card('Invalidations'),
    entries: await cell(2),
  };
  const hits =
    shown.memoryHits +
    number(await page.getByRole('row').filter({ hasText: 'Session disk' }).getByRole('cell').nth(3).textContent()) +
    number(await page.getByRole('row').filter({ hasText: 'Persistent disk' }).getByRole('cell').nth(3).textContent());
  await tab.go('#/checkpoints');
  await tab.sees(/checkpoints in/);
  const checkpoints = number(await page.locator('.head p').textContent());
  return { ...shown, misses: shown.requests - hits - shown.bypassed, checkpoints };
}

async function fromPrometheus(app: DashboardApp): Promise<Numbers> {
  const families = parsePage(await (await fetch(`${app.url}/lane-cache/metrics/prometheus`)).text());
  const total = (name: string, label = '', wanted = ''): number =>
    (families.get(`lane_cache_${name}`)?.lines ?? [])
      .filter(({ labels }) => labels.get('lane') === LANE && (label === '' || labels.get(label) === wanted))
      .reduce((all, { value }) => all + value, 0);
  return {
    requests: total('requests_total'),
    memoryHits: total('hits_total', 'tier', 'l1'),
    misses: total('misses_total'),
    computed: total('computations_total', 'outcome', 'ok'),
    failed: total('computations_total', 'outcome', 'failed'),
    bypassed: total('bypassed_total'),
    refused: total('refused_total'),
    invalidated: total('invalidations_total'),
    entries: total('entries', 'tier', 'l1'),
    checkpoints: total('checkpoints'),
  };
}

function fromCollector(collector: OtlpCollector): Numbers {
  const total = (name: string, attributes: Readonly<Record<string, string>> = {}): number =>
    collector.sum(`lane_cache.${name}`, { 'lane_cache.lane': LANE, ...attributes });
  return {
    requests: total('requests'),
    memoryHits: total('hits', { 'lane_cache.tier': 'l1' }),
    misses: total('misses'),
    computed: total('computations', { 'lane_cache.outcome': 'ok' }),
    failed: total('computations', { 'lane_cache.outcome': 'failed' }),
    bypassed: total('bypassed'),
    refused: total('refused'),
    invalidated: total('invalidations'),
    entries: total('entries', { 'lane_cache.tier': 'l1' }),
    checkpoints: total('checkpoints'),
  };
}

describeWithProgram(
  jest,
  BROWSERS,
  'the page, the command line, the endpoint, Prometheus and OpenTelemetry',
  (program) => {
    it('show the same numbers of one app after one load', async () => {
      buildPage();
      const collector = await OtlpCollector.open();
      const exporter = new OTLPMetricExporter({ url: `${collector.url}/v1/metrics` });
      const meters = new MeterProvider({
        readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })],
      });
      otel.setGlobalMeterProvider(meters);
      const app = await DashboardApp.open({
        dashboard: true,
        telemetry: { spans: 'none' },
        metrics: { controller: true },
        checkpoints: { cleanup: false },
      });
      const browser = await DashboardBrowser.open(program);
      try {
        await load(app);
        const report = await (await fetch(`${app.url}/lane-cache/metrics`)).json();
        const { lanes } = await (await fetch(`${app.url}/lane-cache/checkpoints`)).json();
        const expected = ofLane(report.lanes[LANE], lanes[LANE].cachedCheckpoints);
        expect(Object.entries(expected).filter(([, value]) => value === 0)).toEqual([]);

        const cli = async (...args: string[]) =>
          JSON.parse((await runCli([...args, '--directory', app.directory])).out);
        const [counters, status] = [await cli('metrics', '--lane', LANE), await cli('status')];
        expect(ofLane(counters, status.lanes[LANE].cachedCheckpoints)).toEqual(expected);
        expect(await fromPrometheus(app)).toEqual(expected);
        await meters.forceFlush();
        expect(fromCollector(collector)).toEqual(expected);
        const tab = await browser.tab(`${app.url}/lane-cache/dashboard`);
        expect(await onThePage(tab)).toEqual(expected);
      } finally {
        await browser.close();
        await app.close();
        await meters.shutdown();
        otel.disable();
        collector.close();
      }
    });
  },
);
