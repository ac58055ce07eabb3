import { Injectable, type CanActivate, type ExecutionContext, type INestApplication } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CacheManager, LaneCacheModule, type LaneCacheModuleOptions } from '../../lib/index.js';
import type { OperationRoute } from '../../lib/http/operation-routes.js';
import type { Platform } from './http-app.js';

export const COOKIE = { cookie: 'session=operator' };
export const JSON_TYPE = { 'content-type': 'application/json' };
export const SAME_ORIGIN = { 'sec-fetch-site': 'same-origin' };

/** Lets in who has the cookie. */
@Injectable()
export class Operators implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string | undefined> }>();
    return headers['cookie'] === COOKIE.cookie;
  }
}

/** An app with a directory, an entry and a checkpoint whose every name contains 'secret'. */
export class OperationsApp {
  private constructor(
    readonly nest: INestApplication,
    readonly directory: string,
    readonly url: string,
  ) {}

  static async open(
    platform: Platform,
    options: LaneCacheModuleOptions,
    prepare: (app: INestApplication) => void = () => undefined,
  ): Promise<OperationsApp> {
    const directory = await mkdtemp(join(tmpdir(), 'lane-cache-secret-'));
    const storage = { minFreeBytes: 0 };
    const imports = [LaneCacheModule.forRoot({ directory, storage, logger: false, ...options })];
    const compiled = await Test.createTestingModule({ imports }).compile();
    const nest =
      platform === 'express' ? compiled.createNestApplication() : compiled.createNestApplication(new FastifyAdapter());
    prepare(nest);
    await nest.listen(0, '127.0.0.1');
    const app = new OperationsApp(nest, directory, `http://127.0.0.1:${new URL(await nest.getUrl()).port}`);
    await app.fill();
    return app;
  }

  get cache(): CacheManager {
    return this.nest.get(CacheManager);
  }

  ask(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${this.url}/${path}`, { headers, redirect: 'manual' });
  }

  post(path: string, body: unknown, headers: Record<string, string>): Promise<Response> {
    return fetch(`${this.url}/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  }

  /** Asks a route as `INPUTS` say. */
  call(at: string, { method, path }: OperationRoute, headers: Record<string, string> = {}): Promise<Response> {
    const input = INPUTS[`${method} ${path}`] ?? {};
    if (method === 'POST') return this.post(`${at}/${path}`, input, { ...JSON_TYPE, ...headers });
    const query = new URLSearchParams(Object.entries(input).map(([name, value]) => [name, String(value)]));
    return this.ask(`${at}/${path}?${query}`, headers);
  }

  async close(): Promise<void> {
    await this.nest.close();
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }

  private async fill(): Promise<void> {
    await this.cache.getOrSet('secret-key', () => ({ secret: 'value' }), { tags: ['secret-tag'] });
    await this.cache.get('secret-key');
    await this.cache.snapshots.cacheCheckpoint('secret-id', { secret: 'state' }, { workflow: 'secret-flow' });
    await this.cache.flush();
  }
}

/** What each route is asked, by method and path. */
const INPUTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'GET checkpoints/history': { id: 'secret-id' },
  'GET checkpoints/state': { id: 'secret-id' },
  'GET explain': { key: 'secret-key' },
  'GET value': { key: 'secret-key' },
  'POST explain': { key: 'secret-key' },
  'POST value': { key: 'secret-key' },
  'POST preview': { tags: ['secret-tag'] },
  'POST clear': { lane: 'docs' },
  'POST invalidate': { key: 'none' },
  'POST cleanup': { dryRun: true },
  'POST workflows/invalidate': { workflow: 'none' },
  'POST workflows/finish': { workflow: 'none' },
  'POST checkpoints/remove': { id: 'none' },
  'POST checkpoints/pin': { id: 'secret-id' },
  'POST checkpoints/unpin': { id: 'secret-id' },
  'POST checkpoints/fork': { from: 'secret-id', to: 'none' },
};
