import 'reflect-metadata';
import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { CacheManager, isLaneCacheError, LANE_CACHE } from 'nestjs-lane-cache';
import { LaneCacheHealthIndicator } from 'nestjs-lane-cache/health';
import { expectCached, FakeClock, LaneCacheTestingModule } from 'nestjs-lane-cache/testing';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { appModule, Pages } from './app';

declare const process: { env: Record<string, string | undefined> };
const hasPeers = process.env['PEERS'] === 'with';

describe('an app with the package installed', () => {
  let app: INestApplication;
  let directory: string;

  async function boot(settings: object = {}): Promise<Pages> {
    const imports = [appModule({ directory, storage: { minFreeBytes: 0 }, ...settings })];
    const compiled = await Test.createTestingModule({ imports, providers: [LaneCacheHealthIndicator] }).compile();
    app = compiled.createNestApplication({ logger: false });
    await app.listen(0, '127.0.0.1');
    return app.get(Pages);
  }

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'consumer-'));
  });

  afterEach(async () => {
    await app?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it('caches by decorator, and invalidates', async () => {
    const pages = await boot();
    expect(await pages.page('a')).toEqual({ id: 'a', call: 1, at: new Date(0) });
    expect(await pages.page('a')).toEqual({ id: 'a', call: 1, at: new Date(0) });
    await pages.publish();
    expect((await pages.page('a')).call).toBe(2);
    expect(app.get(LANE_CACHE)).toBe(app.get(CacheManager));
  });

  it('keeps entries and checkpoints across a restart', async () => {
    const first = await boot();
    await first.cache.set('kept', new Map([['a', 1n]]));
    await first.cache.snapshots.cacheCheckpoint('job', { step: 2 });
    await app.close();
    const second = await boot();
    expect(await second.cache.get('kept')).toEqual(new Map([['a', 1n]]));
    expect(await second.cache.snapshots.restoreCheckpoint('job')).toEqual({ step: 2 });
  });

  it('caches responses, and lets clients ask again', async () => {
    await boot();
    const url = `${await app.getUrl()}/pages`;
    const first = await fetch(url);
    const second = await fetch(url);
    const body = await first.text();
    expect(await second.text()).toBe(body);
    expect(second.headers.get('cache-control')).toBe('private, no-cache');
    const tag = second.headers.get('etag') ?? '';
    expect(tag).toMatch(/^W\//);
    expect((await fetch(url, { headers: { 'if-none-match': tag } })).status).toBe(304);
  });

  it('gives no answer of one user to another', async () => {
    await boot();
    const url = `${await app.getUrl()}/pages`;
    const answers = [];
    for (const user of ['one', 'two', 'one']) {
      const answer = await fetch(url, { headers: { authorization: `Bearer ${user}` } });
      answers.push(((await answer.json()) as { call: number }).call);
    }
    expect(answers).toEqual([1, 2, 3]);
  });

  it('says how it is', async () => {
    await boot({ metrics: { controller: true } });
    const health = await app.get(LaneCacheHealthIndicator).isHealthy('cache');
    expect(health['cache']?.status).toBe('up');
    const page = await fetch(`${await app.getUrl()}/lane-cache/metrics/prometheus`);
    expect(page.status).toBe(hasPeers ? 200 : 501);
    expect((await fetch(`${await app.getUrl()}/lane-cache/metrics`)).status).toBe(200);
  });

  it('provides CACHE_MANAGER where its package is, and says what is missing where it is not', async () => {
    const failure = await boot({ provideCacheManager: true }).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(isLaneCacheError(failure, 'OPTIONS_INVALID')).toBe(!hasPeers);
    const cache = hasPeers ? app.get('CACHE_MANAGER') : new Map();
    await cache.set('a', 1, 1_000);
    expect(await cache.get('a')).toBe(1);
  });

  it('is tested with the testing kit', async () => {
    const compiled = await Test.createTestingModule({
      imports: [LaneCacheTestingModule.forRoot()],
      providers: [Pages],
    }).compile();
    await compiled.init();
    const pages = compiled.get(Pages);
    expect((await pages.page('a')).call).toBe(1);
    await expectCached(pages.docs, 'page:a').toBeServedBy('l1');
    await compiled.get(FakeClock).advance('5m');
    await expectCached(pages.docs, 'page:a').toBeAbsent();
    await compiled.close();
  });
});
