import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import {
  Controller,
  Get,
  Header,
  Req,
  Res,
  UseGuards,
  VersioningType,
  type CanActivate,
  type INestApplication,
  type Type,
  type VersioningOptions,
} from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import session from 'express-session';
import type { ServerResponse } from 'node:http';
import { map } from 'rxjs';
import { CacheResponse } from '../../lib/index.js';
import { HttpApp, PLATFORMS, type Platform } from '../support/http-app.js';

interface Incoming {
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly session?: { token?: string };
}

type Prepare = (nest: INestApplication, on: Platform) => void | Promise<void>;

interface Outgoing {
  header(name: string, value: string): unknown;
}

let calls = 0;
const next = (): object => ({ call: ++calls });

class LetIn implements CanActivate {
  canActivate(): boolean {
    return true;
  }
}

const byKey = ({ headers }: Incoming): string | undefined => headers['x-api-key'];

@Controller()
class Routes {
  @Get('plain')
  @CacheResponse({ ttl: '1m' })
  plain(): object {
    return next();
  }

  @Get('shared')
  @CacheResponse({ shared: true })
  shared(): object {
    return next();
  }

  @Get('kept')
  @CacheResponse({ clientMaxAge: '30s', shared: true, ttl: '1m' })
  kept(): object {
    return next();
  }

  @Get('kept-unless-personal')
  @CacheResponse({ clientMaxAge: '30s' })
  keptUnlessPersonal(): object {
    return next();
  }

  @Get('kept-behind-a-guard')
  @UseGuards(LetIn)
  @CacheResponse({ clientMaxAge: '30s', shared: true })
  keptBehindAGuard(): object {
    return next();
  }

  @Get('kept-by-name')
  @CacheResponse({ clientMaxAge: '30s', varyBy: byKey, varyHeaders: ['X-Api-Key'] })
  keptByName(): object {
    return next();
  }

  @Get('silent')
  @CacheResponse({ clientMaxAge: false })
  silent(): object {
    return next();
  }

  @Get('own')
  @CacheResponse({ varyBy: byKey, clientMaxAge: '1m', varyHeaders: ['x-api-key'] })
  @Header('Cache-Control', 'private, max-age=7')
  own(): object {
    return next();
  }

  @Get('shown')
  @CacheResponse({ showKey: true, ttl: '1m' })
  shown(): object {
    return next();
  }

  @Get('upstream')
  @CacheResponse()
  upstream(@Res({ passthrough: true }) response: Outgoing): object {
    response.header('Cache-Status', 'origin; fwd=miss');
    return next();
  }

  @Get('session')
  @CacheResponse({ clientMaxAge: '1m' })
  withSession(@Req() { session: mine }: Incoming): object {
    const made = next();
    if (mine !== undefined) mine.token = `token of ${calls}`;
    return { ...made, token: mine?.token };
  }

  @Get('session-for-all')
  @CacheResponse({ shared: true, clientMaxAge: '1m' })
  sessionForAll(@Req() { session: mine }: Incoming): object {
    if (mine !== undefined) mine.token = 'mine';
    return next();
  }
}

@Controller({ path: 'cats', version: '1' })
class CatsV1 {
  @Get()
  @CacheResponse({ ttl: '1m' })
  all(): object {
    return { version: 1, ...next() };
  }
}

@Controller({ path: 'cats', version: ['2', '3'] })
class CatsV2 {
  @Get()
  @CacheResponse({ ttl: '1m' })
  all(@Req() { headers }: Incoming): object {
    return { asked: headers['x-version'] ?? headers['accept'], ...next() };
  }
}

describe.each(PLATFORMS)('what clients receive, on %s:', (platform) => {
  let app: HttpApp;
  const open = async (prepare: Prepare = () => {}, controllers: readonly Type<object>[] = [Routes]): Promise<void> => {
    app = await HttpApp.open(platform, { controllers, prepare });
  };
  const openVersioned = (versioning: VersioningOptions): Promise<void> =>
    open((nest) => void nest.enableVersioning(versioning), [Routes, CatsV1, CatsV2]);
  const headersOf = async (path: string, headers: Record<string, string> = {}): Promise<Record<string, unknown>> => {
    const answer = await app.ask(path, { headers });
    const names = ['cache-control', 'vary', 'age', 'cache-status', 'x-cache'];
    return Object.fromEntries(names.map((name) => [name, answer.headers[name]]));
  };

  beforeEach(() => {
    calls = 0;
  });

  afterEach(() => app.close());

  describe('by default', () => {
    beforeEach(() => open());

    it('to ask again, and what the answer depends on', async () => {
      const always = { 'cache-control': 'private, no-cache', vary: 'authorization, cookie' };
      expect(await headersOf('/plain')).toEqual({
        ...always,
        'cache-status': 'lane-cache; fwd=miss',
        'x-cache': 'MISS',
      });
      await app.clock.advance('20s');
      const hit = { ...always, age: '20', 'cache-status': 'lane-cache; hit; ttl=40', 'x-cache': 'HIT' };
      expect(await headersOf('/plain')).toEqual(hit);
      expect(await headersOf('/plain', { cookie: 'a=b' })).toEqual({
        ...always,
        'cache-status': 'lane-cache; fwd=bypass; detail=personal',
      });
      expect((await headersOf('/shared'))['vary']).toBeUndefined();
    });

    it('the same with 304 as with the body', async () => {
      const first = await app.ask('/plain');
      await app.clock.advance('5s');
      const answer = await app.ask('/plain', { headers: { 'if-none-match': String(first.headers.etag) } });
      expect([answer.status, answer.body]).toEqual([304, '']);
      const { etag } = first.headers;
      expect(answer.headers).toMatchObject({
        etag,
        'cache-control': 'private, no-cache',
        vary: 'authorization, cookie',
        age: '5',
      });
    });

    it('of an invalidation at their next request', async () => {
      const first = await app.ask('/plain');
      await app.cache.clearAll();
      const answer = await app.ask('/plain', { headers: { 'if-none-match': String(first.headers.etag) } });
      expect([answer.status, JSON.parse(answer.body)]).toEqual([200, { call: 2 }]);
    });

    it('how long they may keep it, where the route says so: for its age longer', async () => {
      expect((await headersOf('/kept'))['cache-control']).toBe('public, max-age=30');
      await app.clock.advance('12s');
      expect(await headersOf('/kept')).toMatchObject({ 'cache-control': 'public, max-age=42', age: '12' });
      expect((await headersOf('/kept', { cookie: 'a=b' }))['cache-control']).toBe('private, max-age=42');
      expect((await headersOf('/kept-unless-personal'))['cache-control']).toBe('public, max-age=30');
      expect((await headersOf('/kept-unless-personal', { cookie: 'a=b' }))['cache-control']).toBe('private, no-cache');
      expect((await headersOf('/kept-behind-a-guard'))['cache-control']).toBe('private, max-age=30');
      const named = await headersOf('/kept-by-name', { 'x-api-key': 'a' });
      expect(named).toMatchObject({ 'cache-control': 'private, max-age=30', vary: 'x-api-key, authorization, cookie' });
    });

    it('nothing where the route says false', async () => {
      const answers = [await app.ask('/silent'), await app.ask('/silent')];
      for (const { headers, body } of answers) {
        expect(JSON.parse(body)).toEqual({ call: 1 });
        for (const name of ['cache-control', 'vary', 'age', 'cache-status', 'x-cache'])
          expect(headers[name]).toBeUndefined();
      }
    });

    it('what the handler says, as it is', async () => {
      for (const call of [1, 1]) {
        const answer = await app.ask('/own', { headers: { 'x-api-key': 'a' } });
        expect([answer.headers['cache-control'], JSON.parse(answer.body)]).toEqual(['private, max-age=7', { call }]);
      }
    });

    it('the key if the route shows it, and what caches behind it did', async () => {
      const { 'cache-status': status } = await headersOf('/shown?q=%22%C3%A4');
      expect(status).toMatch(/^lane-cache; fwd=miss; key="http:Routes\.shown:\/shown \{.*\\"q\\".*%C3%A4.*\}"$/);
      expect((await headersOf('/upstream'))['cache-status']).toBe('origin; fwd=miss, lane-cache; fwd=miss');
    });
  });

  describe('with an interceptor that changes bodies after the cache', () => {
    beforeEach(() =>
      open((nest) => {
        nest.useGlobalInterceptors({
          intercept: (context, handler) => {
            const { headers } = context.switchToHttp().getRequest<Incoming>();
            return handler
              .handle()
              .pipe(
                map((body) =>
                  headers['x-user'] === undefined ? body : Object.assign(body, { for: headers['x-user'] }),
                ),
              );
          },
        });
      }),
    );

    it('304 only for the bytes that they would get', async () => {
      const ann = await app.ask('/plain', { headers: { 'x-user': 'ann' } });
      const held = { 'if-none-match': String(ann.headers.etag) };
      const bob = await app.ask('/plain', { headers: { ...held, 'x-user': 'bob' } });
      expect([bob.status, JSON.parse(bob.body)]).toEqual([200, { call: 1, for: 'bob' }]);
      expect((await app.ask('/plain', { headers: { ...held, 'x-user': 'ann' } })).status).toBe(304);
      expect(await app.json('/plain')).toEqual({ call: 1 });
    });
  });

  describe('with a session', () => {
    const withSession = async (nest: INestApplication, on: Platform): Promise<void> => {
      const secret = 'a secret of at least thirty-two letters';
      if (on === 'express') {
        nest.use(session({ secret, resave: false, saveUninitialized: false }));
      } else {
        const instance = (nest as NestFastifyApplication).getHttpAdapter().getInstance();
        await instance.register(fastifyCookie as never);
        await instance.register(
          fastifySession as never,
          { secret, saveUninitialized: false, cookie: { secure: false } } as never,
        );
      }
    };

    beforeEach(() => open(withSession));

    it('an answer that starts one is private, and is not shared', async () => {
      const answers = [await app.ask('/session'), await app.ask('/session')];
      for (const [index, { headers, body }] of answers.entries()) {
        expect(headers['set-cookie']).toHaveLength(1);
        expect(headers['cache-control']).toBe('private, max-age=60');
        expect(JSON.parse(body)).toEqual({ call: index + 1, token: `token of ${index + 1}` });
      }
    });

    it('concurrent requests never share an answer that starts one', async () => {
      const answers = await Promise.all(Array.from({ length: 10 }, () => app.json('/session')));
      expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(10);
    });

    it('an answer for all is shared without the cookie of the first', async () => {
      const [first, second] = [await app.ask('/session-for-all'), await app.ask('/session-for-all')];
      expect([JSON.parse(first.body), JSON.parse(second.body)]).toEqual([{ call: 1 }, { call: 1 }]);
      expect(first.headers['cache-control']).toBe('private, max-age=60');
      expect(second.headers['set-cookie']).toBeUndefined();
      expect(second.headers['cache-control']).toBe('public, max-age=60');
    });
  });

  it('an answer for all is private behind code that sets a cookie when the head is written', async () => {
    const setCookie = (response: ServerResponse): void => {
      const writeHead = response.writeHead.bind(response);
      response.writeHead = (...args: readonly unknown[]): ServerResponse => {
        response.setHeader('set-cookie', 'mine=1');
        return Reflect.apply(writeHead, response, args) as ServerResponse;
      };
    };
    await open((nest, on) => {
      if (on === 'express')
        nest.use((_: unknown, response: ServerResponse, following: () => void) => {
          setCookie(response);
          following();
        });
      else
        (nest as NestFastifyApplication)
          .getHttpAdapter()
          .getInstance()
          .addHook('onRequest', async (_, reply) => setCookie(reply.raw));
    });
    for (let request = 0; request < 2; request++) {
      const { headers } = await app.ask('/kept');
      expect([headers['set-cookie'], headers['cache-control']]).toEqual([['mine=1'], 'private, max-age=30']);
    }
  });

  describe('with versions', () => {
    it('of a header: Vary names it', async () => {
      await openVersioned({ type: VersioningType.HEADER, header: 'X-Version' });
      expect((await headersOf('/cats', { 'x-version': '1' }))['vary']).toBe('x-version, authorization, cookie');
      expect((await headersOf('/plain'))['vary']).toBe('x-version, authorization, cookie');
      const asked = async (version: string): Promise<unknown> => app.json('/cats', { 'x-version': version });
      expect(await asked('2')).toEqual({ asked: '2', call: 3 });
      expect(await asked('3')).toEqual({ asked: '3', call: 4 });
      expect(await asked('2')).toEqual({ asked: '2', call: 3 });
      expect(await asked('1')).toEqual({ version: 1, call: 1 });
    });

    it('of a media type: Vary names Accept', async () => {
      await openVersioned({ type: VersioningType.MEDIA_TYPE, key: 'v=' });
      expect((await headersOf('/cats', { accept: 'application/json;v=1' }))['vary']).toBe(
        'accept, authorization, cookie',
      );
      for (const version of ['2', '3', '2']) {
        expect(await app.json('/cats', { accept: `text/html, application/json; v=${version}` })).toEqual({
          asked: `text/html, application/json; v=${version}`,
          call: Number(version),
        });
      }
    });

    it('of a function: each version has its own answer', async () => {
      const extractor = (request: unknown): string => String((request as Incoming).headers['x-version']);
      await openVersioned({ type: VersioningType.CUSTOM, extractor });
      for (const version of ['2', '3', '2']) {
        expect(await app.json('/cats', { 'x-version': version })).toEqual({
          asked: version,
          call: Number(version) - 1,
        });
      }
    });
  });
});
