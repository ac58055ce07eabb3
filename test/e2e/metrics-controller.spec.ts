import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Injectable,
  VersioningType,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CacheManager, LaneCacheInterceptor, LaneCacheModule, type LaneCacheModuleOptions } from '../../lib/index.js';

@Injectable()
class Secret {
  readonly word = 'please';
}

/** Accepts requests that carry the word. */
@Injectable()
class Polite implements CanActivate {
  constructor(private readonly secret: Secret) {}

  canActivate(context: ExecutionContext): boolean {
    return (
      context.switchToHttp().getRequest<{ headers: Record<string, unknown> }>().headers['x-word'] === this.secret.word
    );
  }
}

const WITH_WORD = { 'x-word': 'please' };
const JSON_BODY = { ...WITH_WORD, 'content-type': 'application/json' };

const guarded = (): LaneCacheModuleOptions => ({
  metrics: { controller: { guards: [Polite] } },
  extraProviders: [Secret],
});

const WRITES = ['clear', 'invalidate', 'cleanup', 'workflows/invalidate', 'workflows/finish'];

describe.each(['express', 'fastify'] as const)('the metrics controller on %s', (platform) => {
  let app: INestApplication;
  let cache: CacheManager;
  let directory: string;

  async function boot(options: LaneCacheModuleOptions, prepare: (app: INestApplication) => void = () => undefined) {
    directory = await mkdtemp(join(tmpdir(), 'lane-cache-controller-'));
    const imports = [LaneCacheModule.forRoot({ directory, storage: { minFreeBytes: 0 }, ...options })];
    const providers = [{ provide: APP_INTERCEPTOR, useClass: LaneCacheInterceptor }];
    const compiled = await Test.createTestingModule({ imports, providers }).compile();
    app =
      platform === 'express' ? compiled.createNestApplication() : compiled.createNestApplication(new FastifyAdapter());
    prepare(app);
    await app.listen(0, '127.0.0.1');
    cache = app.get(CacheManager);
    await cache.set('secret key', 1, { tags: ['secret tag'] });
    await cache.get('secret key');
    await cache.snapshots.cacheCheckpoint('secret id', { step: 1 });
  }

  const ask = async (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${await app.getUrl()}/${path}`, init);
  const post = async (path: string, body: unknown, headers: Record<string, string> = JSON_BODY): Promise<Response> =>
    ask(path, { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) });

  async function close(): Promise<void> {
    await app.close();
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }

  describe('without guards', () => {
    beforeAll(() => boot({ metrics: { controller: true } }));
    afterAll(close);

    it('returns the metrics of all lanes, and of one', async () => {
      const report = await ask('lane-cache/metrics');
      expect(report.headers.get('cache-control')).toBe('no-store');
      expect(await report.json()).toMatchObject({ lanes: { standard: { requests: 1, l1: { hits: 1 } }, docs: {} } });
      expect(await (await ask('lane-cache/metrics?lane=docs')).json()).toMatchObject({ lane: 'docs', requests: 0 });
      await cache.get('secret key');
      expect(await (await ask('lane-cache/metrics?lane=standard')).json()).toMatchObject({ requests: 2 });
    });

    it.each(['marble', '__proto__', 'constructor', 'docs&lane=standard', ''])('knows no lane %p', async (lane) => {
      const answer = await ask(`lane-cache/metrics?lane=${lane}`);
      expect(answer.status).toBe(404);
      expect(await answer.json()).toMatchObject({ statusCode: 404, code: 'LANE_UNKNOWN' });
    });

    it('returns the page for Prometheus', async () => {
      const page = await ask('lane-cache/metrics/prometheus');
      expect(page.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
      const text = await page.text();
      expect(text).toContain(`lane_cache_requests_total{lane="standard"} ${cache.getMetrics().requests}`);
      expect(text).toContain('lane_cache_checkpoints{lane="standard"} 1');
    });

    it('counts checkpoints', async () => {
      expect(await (await ask('lane-cache/checkpoints')).json()).toMatchObject({
        cachedCheckpoints: 1,
        versions: 1,
        state: 'on',
      });
    });

    it('names no key, no tag and no checkpoint', async () => {
      for (const path of ['metrics', 'metrics?lane=standard', 'metrics/prometheus', 'checkpoints']) {
        expect(await (await ask(`lane-cache/${path}`)).text()).not.toContain('secret');
      }
    });

    it.each(WRITES)('has no POST %s', async (path) => {
      expect((await post(`lane-cache/${path}`, {})).status).toBe(404);
      expect(await cache.get('secret key')).toBe(1);
    });
  });

  describe('behind guards (one app for all)', () => {
    beforeAll(() => boot(guarded()));
    afterAll(close);

    it.each(['metrics', 'metrics/prometheus', 'checkpoints'])('requires the word at GET %s', async (path) => {
      expect((await ask(`lane-cache/${path}`)).status).toBe(403);
      expect((await ask(`lane-cache/${path}`, { headers: WITH_WORD })).status).toBe(200);
    });

    it.each(WRITES)('requires the word at POST %s', async (path) => {
      const headers = { 'content-type': 'application/json' };
      expect((await post(`lane-cache/${path}`, { key: 'secret key' }, headers)).status).toBe(403);
      expect(await cache.get('secret key')).toBe(1);
    });

    it.each([
      ['clear', { lane: 'marble' }, 404, 'LANE_UNKNOWN'],
      ['clear', { lanes: 'docs' }, 400, 'OPTIONS_INVALID'],
      ['clear', [], 400, 'OPTIONS_INVALID'],
      ['clear', { lane: 5 }, 400, 'OPTIONS_INVALID'],
      ['invalidate', {}, 400, 'OPTIONS_INVALID'],
      ['invalidate', { key: 'a', pattern: 'b' }, 400, 'OPTIONS_INVALID'],
      ['invalidate', { key: '' }, 400, 'OPTIONS_INVALID'],
      ['invalidate', { key: { $ne: 1 } }, 400, 'OPTIONS_INVALID'],
      ['invalidate', { tags: 'secret tag' }, 400, 'OPTIONS_INVALID'],
      ['invalidate', { tags: ['x'], lane: 'docs' }, 400, 'OPTIONS_INVALID'],
      ['invalidate', { pattern: 'x'.repeat(600) }, 400, 'PATTERN_INVALID'],
      ['cleanup', { maxAgeDays: '7' }, 400, 'OPTIONS_INVALID'],
      ['cleanup', { dryRun: 'yes' }, 400, 'OPTIONS_INVALID'],
      ['cleanup', { maxAgeDays: -1 }, 400, 'CHECKPOINT_INVALID'],
      ['workflows/invalidate', {}, 400, 'OPTIONS_INVALID'],
      ['workflows/invalidate', { workflow: 5 }, 400, 'OPTIONS_INVALID'],
      ['workflows/invalidate', { id: 'secret id' }, 400, 'OPTIONS_INVALID'],
      ['workflows/finish', { workflow: 'w'.repeat(2_000) }, 400, 'CHECKPOINT_INVALID'],
    ])('refuses POST %s %j', async (path, body, statusCode, code) => {
      const answer = await post(`lane-cache/${path}`, body);
      expect(answer.status).toBe(statusCode);
      expect(await answer.json()).toEqual({ statusCode, code, message: expect.any(String) });
      expect(await cache.has('secret key')).toBe(true);
    });

    it.each(['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x', undefined])(
      'refuses a body of type %p',
      async (type) => {
        const headers = type === undefined ? WITH_WORD : { ...WITH_WORD, 'content-type': type };
        for (const path of WRITES) {
          const init: RequestInit = { method: 'POST', headers };
          const answer = await ask(
            `lane-cache/${path}`,
            type === undefined ? init : { ...init, body: 'key=secret key' },
          );
          expect(answer.status).toBe(415);
        }
        expect(await cache.has('secret key')).toBe(true);
      },
    );
  });

  describe('behind guards (one app each)', () => {
    beforeEach(() => boot(guarded()));
    afterEach(close);

    it('lists checkpoints, page by page', async () => {
      await cache.snapshots.cacheCheckpoint('other', {}, { workflow: 'w' });
      const first = await (await ask('lane-cache/checkpoints?limit=1', { headers: WITH_WORD })).json();
      expect(first).toMatchObject({ cachedCheckpoints: 2, items: [{ id: 'other' }], next: expect.any(String) });
      const second = await ask(`lane-cache/checkpoints?limit=1&after=${first.next}`, { headers: WITH_WORD });
      expect(await second.json()).toMatchObject({ items: [{ id: 'secret id' }] });
      const filtered = await ask('lane-cache/checkpoints?workflow=w', { headers: WITH_WORD });
      expect(await filtered.json()).toMatchObject({ items: [{ id: 'other' }] });
      expect((await ask('lane-cache/checkpoints?limit=x', { headers: WITH_WORD })).status).toBe(400);
    });

    it('clears the lane of the app, or one that is named', async () => {
      await cache.forLane('docs').set('page', 1);
      expect(await (await post('lane-cache/clear', { lane: 'docs' })).json()).toEqual({ lane: 'docs' });
      expect([await cache.forLane('docs').get('page'), await cache.get('secret key')]).toEqual([undefined, 1]);
      expect(await (await post('lane-cache/clear', {})).json()).toEqual({ lane: 'standard' });
      expect(await cache.get('secret key')).toBeUndefined();
    });

    it.each([
      [{ key: 'secret key' }, { lane: 'standard', removed: 1 }],
      [{ key: 'other' }, { lane: 'standard', removed: 0 }],
      [{ pattern: 'secret*' }, { lane: 'standard', removed: 1 }],
      [
        { pattern: '*', lane: 'docs' },
        { lane: 'docs', removed: 0 },
      ],
      [{ tags: ['secret tag'] }, {}],
    ])('invalidates %p', async (body, result) => {
      const answer = await post('lane-cache/invalidate', body);
      expect([answer.status, await answer.json()]).toEqual([200, result]);
      const isGone = JSON.stringify(body).includes('secret');
      expect(await cache.has('secret key')).toBe(!isGone);
    });

    it('starts a workflow over, and finishes it', async () => {
      await cache.snapshots.cacheCheckpoint('step', {}, { workflow: 'w' });
      expect(await (await post('lane-cache/workflows/finish', { workflow: 'w' })).json()).toEqual({});
      expect(await (await post('lane-cache/workflows/invalidate', { workflow: 'w' })).json()).toEqual({ removed: 1 });
      expect(await cache.snapshots.restoreCheckpoint('step')).toBeUndefined();
      expect(await cache.snapshots.history('secret id')).toHaveLength(1);
    });

    it('cleans up checkpoints', async () => {
      expect(await (await post('lane-cache/cleanup', { maxAgeDays: 0, dryRun: true })).json()).toMatchObject({
        dryRun: true,
      });
      expect(await (await post('lane-cache/cleanup', {})).json()).toMatchObject({ removed: 0, dryRun: false });
    });
  });

  describe('as configured', () => {
    afterEach(close);

    it('does not exist unless it is configured', async () => {
      await boot({});
      expect((await ask('lane-cache/metrics')).status).toBe(404);
    });

    it('answers at the configured path, behind a prefix, for every version', async () => {
      await boot({ metrics: { controller: { path: 'ops/cache' } } }, (prepared) => {
        prepared.setGlobalPrefix('api');
        prepared.enableVersioning({ type: VersioningType.URI });
      });
      expect((await ask('api/ops/cache/metrics')).status).toBe(200);
      expect((await ask('lane-cache/metrics')).status).toBe(404);
    });

    it('reports that checkpoints are off when they are', async () => {
      await boot(guarded());
      await app.close();
      const imports = [LaneCacheModule.forRoot({ ...guarded(), directory: false })];
      const compiled = await Test.createTestingModule({ imports }).compile();
      app =
        platform === 'express'
          ? compiled.createNestApplication()
          : compiled.createNestApplication(new FastifyAdapter());
      await app.listen(0, '127.0.0.1');
      expect(await (await ask('lane-cache/checkpoints', { headers: WITH_WORD })).json()).toMatchObject({
        state: 'off',
        items: [],
      });
      expect((await post('lane-cache/cleanup', {})).status).toBe(503);
    });
  });
});
