import * as jest from '@jest/globals';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { metrics as otel } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { Redis } from 'ioredis';
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { createLaneCache, type LaneCacheApp } from '../../lib/app/cache-app.js';
import { BROWSERS } from '../support/browser.js';
import { buildPage, DashboardApp, DashboardBrowser } from '../support/dashboard.js';
import { runCli } from '../support/fake-terminal.js';
import { describeWithProgram } from '../support/installed.js';
import { OtlpCollector } from '../support/otlp-collector.js';
import { parsePage } from '../support/prometheus-text.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';

const HOST = hostname();

/** Asks until the answer is as wanted, for as long as the test may take. */
async function until<T>(ask: () => Promise<T>, isWanted: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (isWanted(answer)) return answer;
    await new Promise(setImmediate);
  }
}

describeWithRedis(
  jest,
  'the instances of a server',
  () => {
    const apps: LaneCacheApp[] = [];
    let server: RedisServer;
    beforeAll(async () => {
      server = await RedisServer.start();
    });
    afterEach(async () => {
      for (const app of apps.splice(0)) await app.close();
    });
    afterAll(() => server.dispose());

    const open = async (prefix: string, version: string): Promise<LaneCacheApp> => {
      const app = await createLaneCache({
        directory: false,
        logger: false,
        version,
        distributed: { url: server.url, prefix },
      });
      apps.push(app);
      return app;
    };
    const versions = async (app: LaneCacheApp): Promise<readonly string[]> =>
      (await app.operations.instances()).map(({ version }) => version);

    it('list one another, the one that answers first', async () => {
      const [one, other] = [await open('list', '1'), await open('list', '2')];
      expect(
        await until(
          () => versions(other),
          ({ length }) => length === 2,
        ),
      ).toEqual(['2', '1']);
      expect(
        await until(
          () => versions(one),
          ({ length }) => length === 2,
        ),
      ).toEqual(['1', '2']);
      const [self, second] = await one.operations.instances();
      const place = { host: HOST, pid: process.pid, isConnected: true, behind: 0 };
      expect(self).toMatchObject({ ...place, isSelf: true, reportedMs: 0 });
      expect(second).toMatchObject({ ...place, isSelf: false });
      expect(second?.reportedMs).toBeGreaterThanOrEqual(0);
    });

    it('are no longer listed once they have closed', async () => {
      const [one, other] = [await open('leave', '1'), await open('leave', '2')];
      await until(
        () => versions(one),
        ({ length }) => length === 2,
      );
      await other.close();
      expect(await versions(one)).toEqual(['1']);
    });

    it('list themselves beside rows that are no reports', async () => {
      const one = await open('odd', '1');
      const client = new Redis(server.url);
      await client.hset('{odd}:instances', 'x', 'no row', 'y', '12 {', 'z', '12 null', 'w', '9999999999999 {"host":1}');
      expect(await versions(one)).toEqual(['1']);
      await client.set('{odd}:instances', 'a text');
      expect(await versions(one)).toEqual(['1']);
      client.disconnect();
    });

    it('report how long they have not followed the others', async () => {
      const one = await open('lag', '1');
      const turns = (state: string): Promise<void> =>
        new Promise((resolve) => {
          const stop = one.manager().events.on('tier', ({ tier, state: now }) => {
            if (tier !== 'l4' || now !== state) return;
            stop();
            resolve();
          });
        });
      expect(one.metrics.report().shared).toMatchObject({ isConnected: true, behind: 0 });
      const lost = turns('off');
      server.freeze();
      await lost;
      const { lagMs = 0, isConnected } = one.metrics.report().shared ?? {};
      expect(isConnected).toBe(false);
      expect(lagMs).toBeGreaterThan(900);
      expect(await one.operations.instances()).toMatchObject([{ isSelf: true, isConnected: false }]);
      const found = turns('on');
      server.thaw();
      await found;
      expect(one.metrics.report().shared).toMatchObject({ isConnected: true, behind: 0 });
      expect(one.metrics.report().shared?.lagMs).toBeLessThan(lagMs);
    }, 30_000);

    describeWithProgram(jest, BROWSERS, 'in every view', (program) => {
      it('are the same', async () => {
        buildPage();
        const prefix = randomUUID();
        const distributed = { url: server.url, prefix };
        const collector = await OtlpCollector.open();
        const exporter = new OTLPMetricExporter({ url: `${collector.url}/v1/metrics` });
        const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
        const meters = new MeterProvider({ readers: [reader] });
        otel.setGlobalMeterProvider(meters);
        const metrics = { controller: true } as const;
        const telemetry = { spans: 'none' } as const;
        const app = await DashboardApp.open({ dashboard: true, telemetry, metrics, distributed, version: 'shown' });
        const browser = await DashboardBrowser.open(program);
        const get = async (path: string) => (await fetch(`${app.url}/lane-cache/${path}`)).text();
        try {
          await open(prefix, 'other');
          const listed = async () => JSON.parse(await get('instances')).items;
          const items = await until(listed, ({ length }) => length === 2);
          expect(items).toMatchObject([
            { version: 'shown', isSelf: true, isConnected: true, behind: 0 },
            { version: 'other', isSelf: false, isConnected: true, behind: 0 },
          ]);
          expect(items[0]).not.toHaveProperty('host');
          expect(items[0]).not.toHaveProperty('pid');
          const status = await runCli(['status', '--json', '--directory', app.directory]);
          expect(JSON.parse(status.out).instances).toMatchObject([
            { host: HOST, pid: process.pid, version: 'shown' },
            { host: HOST, pid: process.pid, version: 'other' },
          ]);
          for (const columns of [80, 200]) {
            const { out } = await runCli(['status', '--directory', app.directory], { isInteractive: true, columns });
            expect(out).toContain('2 instances share the server.');
            expect(Math.max(...out.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(columns);
          }
          const page = parsePage(await get('metrics/prometheus'));
          const value = (name: string): number => page.get(`lane_cache_shared_log_${name}`)?.lines[0]?.value ?? -1;
          expect(value('behind')).toBe(0);
          expect(value('lag_seconds')).toBeGreaterThanOrEqual(0);
          await meters.forceFlush();
          expect(collector.sum('lane_cache.shared_log_behind', {})).toBe(0);
          const tab = await browser.tab(`${app.url}/lane-cache/dashboard`);
          await tab.go('#/instances');
          const rows = tab.page.getByRole('region', { name: 'Instances' }).getByRole('row');
          await tab.sees('this one');
          expect(await rows.filter({ hasText: 'shown' }).textContent()).toContain('connected');
          expect(await rows.filter({ hasText: 'other' }).textContent()).toContain('connected');
          expect(await rows.count()).toBe(3);
        } finally {
          await browser.close();
          await app.close();
          await meters.shutdown();
          otel.disable();
          collector.close();
        }
      }, 60_000);
    });
  },
  'own',
);
