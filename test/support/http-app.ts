import type { DynamicModule, INestApplication, Provider, Type } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { Agent, request as httpRequest, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { CacheManager, LaneCacheModule, type LaneCacheModuleOptions } from '../../lib/index.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';

export type Platform = 'express' | 'fastify';
export const PLATFORMS = ['express', 'fastify'] as const;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Asking {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string;
}

interface HttpAppOptions {
  readonly controllers: readonly Type<object>[];
  readonly providers?: readonly Provider[];
  readonly imports?: readonly DynamicModule[];
  readonly settings?: Partial<LaneCacheModuleOptions>;
  readonly trustProxy?: boolean;
  /** Before the app listens. */
  readonly prepare?: (app: INestApplication, platform: Platform) => void | Promise<void>;
}

/** A Nest app that listens on a port of its own, with the cache in memory and a clock that stands still. */
export class HttpApp {
  readonly warnings: string[] = [];
  readonly clock = new FakeClock();
  private readonly agent = new Agent({ keepAlive: true });
  private app: INestApplication | undefined;
  private port = 0;

  private constructor() {}

  static async open(platform: Platform, options: HttpAppOptions): Promise<HttpApp> {
    const made = new HttpApp();
    await made.boot(platform, options);
    return made;
  }

  get nest(): INestApplication {
    if (this.app === undefined) throw new Error('The app is not open.');
    return this.app;
  }

  get cache(): CacheManager {
    return this.nest.get(CacheManager);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async close(): Promise<void> {
    this.agent.destroy();
    await this.app?.close();
  }

  /** Sends the headers as they are, and none of its own but `Host`. */
  ask(path: string, { method = 'GET', headers = {}, body }: Asking = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: this.port, path, method, headers, agent: this.agent };
      const request = httpRequest(options, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('latin1');
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
        });
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  async json(path: string, headers: OutgoingHttpHeaders = {}): Promise<unknown> {
    return JSON.parse((await this.ask(path, { headers })).body);
  }

  private async boot(platform: Platform, options: HttpAppOptions): Promise<void> {
    const warn = (text: unknown): void => void this.warnings.push(String(text));
    const logger = { log: () => {}, warn, error: () => {} };
    const settings = { directory: false, checkpoints: false, logger, clock: this.clock, ...options.settings } as const;
    const compiled = await Test.createTestingModule({
      imports: [LaneCacheModule.forRoot(settings), ...(options.imports ?? [])],
      controllers: [...options.controllers],
      providers: [...(options.providers ?? [])],
    }).compile();
    const trustProxy = options.trustProxy ?? false;
    if (platform === 'express') {
      const made = compiled.createNestApplication<NestExpressApplication>();
      made.set('trust proxy', trustProxy);
      this.app = made;
    } else {
      this.app = compiled.createNestApplication(new FastifyAdapter({ trustProxy }));
    }
    await options.prepare?.(this.app, platform);
    await this.app.listen(0, '127.0.0.1');
    this.port = Number(new URL(await this.app.getUrl()).port);
  }
}
