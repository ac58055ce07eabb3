import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  All,
  Body,
  Controller,
  Get,
  Header,
  HostParam,
  HttpCode,
  Injectable,
  Req,
  Res,
  UseInterceptors,
  VersioningType,
  type CallHandler,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
} from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { CacheManager, CacheResponse, LaneCacheModule } from '../../lib/index.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';

interface Incoming {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly query: object;
  user?: unknown;
}

interface Outgoing {
  header(name: string, value: string): unknown;
}

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

let calls = 0;
const next = () => ({ call: ++calls });

/** Signs in after the cache interceptor, which is too late. */
@Injectable()
class LateSignIn implements NestInterceptor {
  intercept(context: ExecutionContext, handler: CallHandler): ReturnType<CallHandler['handle']> {
    const request = context.switchToHttp().getRequest<Incoming>();
    request.user = request.headers['x-user'];
    return handler.handle();
  }
}

/** A rule of a wrong type, as in code without type checks. */
const anObject: never = ((request: Incoming) => ({ id: request.headers['x-user'] })) as never;

@Controller('answers')
class AnswersController {
  @Get('by-language')
  @CacheResponse()
  @Header('Vary', 'Accept-Language')
  byLanguage(@Req() request: Incoming): object {
    return { ...next(), language: request.headers['accept-language'] };
  }

  @Get('by-region')
  @CacheResponse({ varyHeaders: ['X-Region'] })
  byRegion(@Req() { headers }: Incoming): object {
    return { ...next(), region: headers['x-region'] ?? 'none' };
  }

  @Get('by-body')
  @CacheResponse()
  byBody(@Body() body: unknown): object {
    return { ...next(), body };
  }

  @Get('by-user')
  @UseInterceptors(LateSignIn)
  @CacheResponse()
  early(@Req() { user }: Incoming): object {
    return { ...next(), user };
  }

  @Get('by-late-user')
  @CacheResponse()
  @UseInterceptors(LateSignIn)
  late(@Req() { user }: Incoming): object {
    return { ...next(), user };
  }

  @Get('by-object')
  @CacheResponse({ varyBy: anObject })
  byObject(@Req() { headers }: Incoming): object {
    return { ...next(), user: headers['x-user'] };
  }

  @Get('by-promise')
  @CacheResponse({ varyBy: async (request: Incoming) => request.headers['x-user']?.toString() })
  byPromise(@Req() { headers }: Incoming): object {
    return { ...next(), user: headers['x-user'] };
  }

  @Get('by-token')
  @CacheResponse({ varyBy: ({ headers }: Incoming) => headers.authorization })
  byToken(): object {
    return next();
  }

  @All('by-method')
  @CacheResponse()
  byMethod(@Req() { method }: Incoming): object {
    return { ...next(), method };
  }

  @Get('by-query')
  @CacheResponse()
  byQuery(@Req() { query }: Incoming): object {
    return { ...next(), query: { ...query } };
  }

  @Get('plain')
  @CacheResponse({ ttl: '10s' })
  plain(): object {
    return next();
  }

  @Get('on-demand')
  @CacheResponse({ ttl: '10s', clientRefresh: true })
  onDemand(): object {
    return next();
  }

  @Get('over')
  @CacheResponse()
  @Header('Expires', '0')
  over(): object {
    return next();
  }

  @Get('renewed')
  @HttpCode(203)
  @CacheResponse({ lane: 'renewed', statuses: [203] })
  renewed(): object {
    return next();
  }

  @Get('renewed-in-person')
  @CacheResponse({ lane: 'renewed' })
  renewedInPerson(@Res({ passthrough: true }) response: Outgoing): object {
    response.header('X-Call', String(calls + 1));
    return next();
  }

  @Get('ahead')
  @CacheResponse({ lane: 'ahead' })
  ahead(@Res({ passthrough: true }) response: Outgoing): object {
    response.header('X-Call', String(calls + 1));
    return next();
  }
}

@Controller({ path: 'here', host: ':tenant.example.com' })
class TenantsController {
  @Get()
  @CacheResponse()
  here(@HostParam('tenant') tenant: string): object {
    return { ...next(), tenant };
  }
}

/** Classes of one name, as in the folders of two versions. */
const VERSIONS = ['1', '2'].map((version) => {
  @Controller({ path: 'cats', version })
  class CatsController {
    @Get()
    @CacheResponse()
    list(): object {
      return { ...next(), version };
    }
  }
  return CatsController;
});

const FRESHNESS = { ttl: '10s', grace: '1h' } as const;
const LANES = { renewed: { ...FRESHNESS, softTimeout: 0 }, ahead: { ...FRESHNESS, refreshAhead: 0.5 } };

describe.each(['express', 'fastify'] as const)('cached answers on %s are separate', (platform) => {
  const clock = new FakeClock();
  const warnings: unknown[] = [];
  const warn = (text: unknown): void => void warnings.push(text);
  const logger = { log: () => {}, warn, error: () => {} };
  let app: INestApplication;
  let url: string;

  const ask = (path: string, headers: IncomingHttpHeaders = {}, method = 'GET', body?: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const request = httpRequest(`${url}${path}`, { method, headers }, (response) => {
        let text = '';
        response.on('data', (chunk) => (text += String(chunk)));
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: text }));
      });
      request.on('error', reject);
      request.end(body);
    });
  const json = async (...request: Parameters<typeof ask>): Promise<unknown> => JSON.parse((await ask(...request)).body);

  beforeEach(async () => {
    calls = 0;
    warnings.length = 0;
    const compiled = await Test.createTestingModule({
      imports: [LaneCacheModule.forRoot({ directory: false, logger, clock, lanes: LANES })],
      controllers: [AnswersController, TenantsController, ...VERSIONS],
    }).compile();
    if (platform === 'express') {
      const made = compiled.createNestApplication<NestExpressApplication>();
      made.set('trust proxy', true);
      app = made;
    } else {
      app = compiled.createNestApplication(new FastifyAdapter({ trustProxy: true }));
    }
    app.enableVersioning({ type: VersioningType.HEADER, header: 'x-version' });
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });

  afterEach(() => app.close());

  it('by the version, though it is in a header and its classes have one name', async () => {
    expect(await json('/cats', { 'x-version': '1' })).toEqual({ call: 1, version: '1' });
    expect(await json('/cats', { 'x-version': '2' })).toEqual({ call: 2, version: '2' });
    expect(await json('/cats', { 'x-version': '1' })).toEqual({ call: 1, version: '1' });
  });

  it('by the host, though a proxy names it', async () => {
    const of = (tenant: string) =>
      json('/here', { host: 'proxy.example.com', 'x-forwarded-host': `${tenant}.example.com` });
    expect(await of('ann')).toEqual({ call: 1, tenant: 'ann' });
    expect(await of('bob')).toEqual({ call: 2, tenant: 'bob' });
    expect(await of('ann')).toEqual({ call: 1, tenant: 'ann' });
    expect(await of('ANN')).toEqual({ call: 1, tenant: 'ann' });
  });

  it('by a header that @Header names in Vary', async () => {
    expect(await json('/answers/by-language', { 'accept-language': 'de' })).toEqual({ call: 1, language: 'de' });
    expect(await json('/answers/by-language', { 'accept-language': 'en' })).toEqual({ call: 2, language: 'en' });
  });

  it('by whether a header is missing or empty', async () => {
    expect(await json('/answers/by-region', { 'x-region': '' })).toEqual({ call: 1, region: '' });
    expect(await json('/answers/by-region')).toEqual({ call: 2, region: 'none' });
    expect(await json('/answers/by-region', { 'x-region': '' })).toEqual({ call: 1, region: '' });
  });

  it('by the body of a GET', async () => {
    const of = (body: string, length: IncomingHttpHeaders) =>
      json('/answers/by-body', { 'content-type': 'application/json', ...length }, 'GET', body);
    for (const call of [1, 2]) expect(await of(`{"a":${call}}`, { 'content-length': '7' })).toMatchObject({ call });
    const chunked = { 'transfer-encoding': 'chunked' };
    for (const call of [3, 4]) expect(await of(`{"a":${call}}`, chunked)).toMatchObject({ call });
    expect(await json('/answers/by-body', { 'content-length': '0' })).toMatchObject({ call: 5 });
    expect(await json('/answers/by-body')).toMatchObject({ call: 5 });
  });

  it.each(['by-user', 'by-late-user'])('by the user that an interceptor sets: %s', async (path) => {
    expect(await json(`/answers/${path}`, { 'x-user': 'ann' })).toEqual({ call: 1, user: 'ann' });
    expect(await json(`/answers/${path}`, { 'x-user': 'bob' })).toEqual({ call: 2, user: 'bob' });
  });

  it('by a varyBy that returns no text', async () => {
    for (const from of [{ cookie: 'a=b' }, {}]) {
      expect(await json('/answers/by-object', { ...from, 'x-user': 'ann' })).toMatchObject({ user: 'ann' });
      expect(await json('/answers/by-object', { ...from, 'x-user': 'bob' })).toMatchObject({ user: 'bob' });
    }
    expect(warnings).toEqual([
      expect.stringMatching(/varyBy .*AnswersController\.byObject returned what names nobody/),
    ]);
    expect(app.get(CacheManager).getMetrics().bypassed['no-name']).toBe(4);
  });

  it('by a varyBy that takes its time', async () => {
    expect(await json('/answers/by-promise', { 'x-user': 'ann' })).toEqual({ call: 1, user: 'ann' });
    expect(await json('/answers/by-promise', { 'x-user': 'bob' })).toEqual({ call: 2, user: 'bob' });
    expect(await json('/answers/by-promise', { 'x-user': 'ann' })).toEqual({ call: 1, user: 'ann' });
    expect(await json('/answers/by-promise')).toEqual({ call: 3 });
    expect(await json('/answers/by-promise')).toEqual({ call: 4 });
  });

  it('by a token, which does not appear in the key', async () => {
    const of = (token: string) => json('/answers/by-token', { authorization: `Bearer ${token.repeat(70)}` });
    expect([await of('a'), await of('b'), await of('a')]).toEqual([{ call: 1 }, { call: 2 }, { call: 1 }]);
    for await (const { key } of app.get(CacheManager).entries()) expect(key).not.toContain('Bearer');
  });

  it('by the method, where a handler serves all of them, but for HEAD, which is GET without a body', async () => {
    await ask('/answers/by-method', {}, 'HEAD');
    expect(await json('/answers/by-method')).toEqual({ call: 2, method: 'GET' });
    await ask('/answers/by-method', {}, 'HEAD');
    expect(calls).toBe(2);
    expect(await json('/answers/by-method', {}, 'POST')).toEqual({ call: 3, method: 'POST' });
  });

  it('by the order of a list, however its name is written', async () => {
    expect(await json('/answers/by-query?%61=1&a=2')).toEqual({ call: 1, query: { a: ['1', '2'] } });
    expect(await json('/answers/by-query?a=2&%61=1')).toEqual({ call: 2, query: { a: ['2', '1'] } });
  });

  it('by their age, if a request limits it and the route allows that', async () => {
    await ask('/answers/on-demand');
    await clock.advance('5s');
    expect(await json('/answers/on-demand', { 'cache-control': 'max-age=5' })).toEqual({ call: 1 });
    await clock.advance('1s');
    expect(await json('/answers/on-demand', { 'cache-control': 'max-age=5' })).toEqual({ call: 2 });
    expect(await json('/answers/on-demand', { 'cache-control': 'max-age=5' })).toEqual({ call: 2 });
  });

  it('whatever the handler says about the caches of clients', async () => {
    expect([await json('/answers/over'), await json('/answers/over')]).toEqual([{ call: 1 }, { call: 1 }]);
  });

  it('by whether they are cached, if a request accepts no others', async () => {
    const wish = { 'cache-control': 'only-if-cached' };
    expect((await ask('/answers/plain', wish)).status).toBe(504);
    await ask('/answers/plain');
    expect(await json('/answers/plain', wish)).toEqual({ call: 1 });
    expect(calls).toBe(1);
  });

  it('from the stored answer that is served while they are made', async () => {
    const first = await ask('/answers/renewed');
    await clock.advance('20s');
    const stale = await ask('/answers/renewed');
    expect(stale).toMatchObject({ status: 203, body: first.body, headers: { etag: first.headers.etag, age: '20' } });
    const renewed = await ask('/answers/renewed');
    expect(renewed).toMatchObject({ status: 203, body: '{"call":2}' });
    expect(renewed.headers.etag).not.toBe(first.headers.etag);
    const held = await ask('/answers/renewed', { 'if-none-match': first.headers.etag });
    expect([held.status, held.body]).toEqual([203, '{"call":2}']);
  });

  it.each(['renewed-in-person', 'ahead'])('by what their handler did to the response: %s', async (path) => {
    await ask(`/answers/${path}`);
    for (const passed of ['6s', '6s', '1s', '20s', '1s'] as const) {
      await clock.advance(passed);
      const { headers, body } = await ask(`/answers/${path}`);
      expect({ call: Number(headers['x-call']) }).toEqual(JSON.parse(body));
      expect((await ask(`/answers/${path}`)).headers.etag).toBe(headers.etag);
    }
    expect(calls).toBe(3);
  });

  it('however long their URL is', async () => {
    const long = 'x'.repeat(9_000);
    const answers = [await json(`/answers/by-query?${long}=1`), await json(`/answers/by-query?${long}=2`)];
    expect(answers).toMatchObject([{ call: 1 }, { call: 2 }]);
    expect(await json(`/answers/by-query?${long}=1`)).toMatchObject({ call: 1 });
    for await (const { key } of app.get(CacheManager).entries()) expect(key.length).toBeLessThan(200);
  });
});
