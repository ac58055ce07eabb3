import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  Head,
  Header,
  HttpCode,
  Injectable,
  NotFoundException,
  Post,
  Redirect,
  Req,
  Res,
  ServiceUnavailableException,
  Sse,
  StreamableFile,
  UseGuards,
  UseInterceptors,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
  type Provider,
} from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import { of } from 'rxjs';
import {
  CacheManager,
  CacheResponse,
  LaneCacheInterceptor,
  LaneCacheModule,
  type LaneCacheModuleOptions,
} from '../../lib/index.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { Gate, until } from '../support/gate.js';

interface Incoming {
  readonly headers: Readonly<Record<string, string | undefined>>;
  user?: { readonly id: string };
}

/** The interface that the responses of Express and Fastify share. */
interface Outgoing {
  header(name: string, value: string): unknown;
  status(code: number): unknown;
  send(body: unknown): unknown;
}

/** Counts requests before they reach the cache. */
@Injectable()
class Arrivals implements CanActivate {
  canActivate(): boolean {
    calls.arrived++;
    return true;
  }
}

/** Signs in by a header, as the guard of an app does by a token. */
@Injectable()
class SignIn implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<Incoming>();
    const id = request.headers['x-user'];
    if (id !== undefined) request.user = { id };
    return true;
  }
}

class Calls {
  count = 0;
  arrived = 0;
  /** Blocks handlers until it resolves. */
  gate = new Gate();
}

const calls = new Calls();
const next = () => ({ call: ++calls.count });

@Controller('things')
class ThingsController {
  @Get()
  @CacheResponse({ ttl: '1m' })
  async list(): Promise<object> {
    const made = next();
    await calls.gate.whenOpen;
    return made;
  }

  @Post()
  @CacheResponse()
  create(): object {
    return next();
  }

  @Get('bare')
  @UseInterceptors(LaneCacheInterceptor)
  bare(): object {
    return next();
  }

  @Get('undecorated')
  undecorated(): object {
    return next();
  }

  @Get('twice')
  @UseInterceptors(LaneCacheInterceptor)
  @CacheResponse()
  twice(): object {
    return next();
  }

  @Get('text')
  @CacheResponse()
  @Header('Content-Type', 'text/markdown')
  text(): string {
    return `call ${++calls.count}`;
  }

  @Get('status')
  @CacheResponse({ statuses: [203] })
  @HttpCode(203)
  @Header('X-Fixed', 'yes')
  status(@Res({ passthrough: true }) response: Outgoing): object {
    response.header('X-Made', String(calls.count + 1));
    return next();
  }

  @Get('chosen')
  @CacheResponse({ statuses: { 202: '1m' } })
  chosen(@Res({ passthrough: true }) response: Outgoing): object {
    response.status(202);
    return next();
  }

  @Get('explicit')
  @CacheResponse()
  @HttpCode(200)
  explicit(): object {
    return next();
  }

  @Get('on-demand')
  @CacheResponse({ clientRefresh: true })
  onDemand(): object {
    return next();
  }

  @Get('error')
  @CacheResponse()
  async error(): Promise<object> {
    const { call } = next();
    await calls.gate.whenOpen;
    if (call === 1) throw new NotFoundException('not yet');
    return { call };
  }

  @Get('down')
  @CacheResponse()
  down(): object {
    const { call } = next();
    if (call === 1) throw new ServiceUnavailableException();
    return { call };
  }

  @Get('mine')
  @UseGuards(SignIn)
  @CacheResponse({ ttl: '1m' })
  async mine(@Req() request: Incoming): Promise<object> {
    const made = { ...next(), user: request.user?.id };
    await calls.gate.whenOpen;
    return made;
  }

  @Get('ours')
  @UseGuards(SignIn)
  @CacheResponse({ ttl: '1m', varyBy: (request: Incoming) => request.user?.id })
  ours(@Req() request: Incoming): object {
    return { ...next(), user: request.user?.id };
  }

  @Get('spoken')
  @CacheResponse({ varyHeaders: ['Accept-Language'] })
  spoken(@Req() request: Incoming): object {
    return { ...next(), language: request.headers['accept-language'] };
  }

  @Get('cookie')
  @CacheResponse()
  cookie(@Res({ passthrough: true }) response: Outgoing): object {
    response.header('Set-Cookie', `session=${calls.count}`);
    return next();
  }

  @Get('private')
  @CacheResponse()
  @Header('Cache-Control', 'private, max-age=60')
  personal(): object {
    return next();
  }

  @Get('no-store')
  @CacheResponse()
  async noStore(@Res({ passthrough: true }) response: Outgoing): Promise<object> {
    const made = next();
    await calls.gate.whenOpen;
    response.header('Cache-Control', 'no-store');
    return made;
  }

  @Get('short')
  @CacheResponse({ ttl: '1h' })
  short(@Res({ passthrough: true }) response: Outgoing): object {
    response.header('Cache-Control', 'public, max-age=5, s-maxage=10');
    return next();
  }

  @Get('varying')
  @CacheResponse()
  varying(@Res({ passthrough: true }) response: Outgoing): object {
    response.header('Vary', 'Accept-Language');
    return next();
  }

  @Get('stream')
  @CacheResponse()
  stream(): StreamableFile {
    return new StreamableFile(Buffer.from(`call ${++calls.count}`));
  }

  @Get('readable')
  @CacheResponse()
  readable(): StreamableFile {
    return new StreamableFile(Readable.from([`call ${++calls.count}`]));
  }

  @Get('own')
  @CacheResponse()
  async own(@Res() response: Outgoing): Promise<void> {
    const made = next();
    await calls.gate.whenOpen;
    response.send(made);
  }

  @Sse('events')
  @CacheResponse()
  events(): unknown {
    return of({ data: next() });
  }

  @Get('moved')
  @CacheResponse()
  @Redirect('/things', 302)
  moved(): void {
    next();
  }

  @Get('nothing')
  @CacheResponse()
  nothing(): void {
    next();
  }

  @Get('never')
  @CacheResponse({ ttl: 0 })
  never(): object {
    return next();
  }

  @Get('kinds')
  @CacheResponse()
  kinds(): object {
    return { at: new Date(++calls.count), list: [null, 1.5] };
  }

  @Get('tagged/:id')
  @CacheResponse({ tags: (request: { params: { id: string } }) => [`thing:${request.params.id}`] })
  tagged(): object {
    return next();
  }

  @Head('head')
  @CacheResponse()
  @Header('X-Head', 'yes')
  head(): void {
    next();
  }
}

@Controller('docs')
@CacheResponse({ lane: 'docs', tags: ['page'] })
class DocsController {
  @Get(':page')
  page(): object {
    return next();
  }

  @Get(':page/raw')
  @CacheResponse({ ttl: '5s' })
  raw(): object {
    return next();
  }
}

/** These guards let everybody in: only `request.user` says whom an answer is for. */
const NEUTRAL = { neutralGuards: [Arrivals, SignIn] };
const MEMORY = { directory: false, checkpoints: false } as const;

describe.each(['express', 'fastify'] as const)('cached responses on %s', (platform) => {
  const clock = new FakeClock();
  let app: INestApplication;
  let url: string;

  async function boot(options: Partial<LaneCacheModuleOptions> = {}, providers: Provider[] = []): Promise<void> {
    const compiled = await Test.createTestingModule({
      imports: [LaneCacheModule.forRoot({ ...MEMORY, clock, responses: NEUTRAL, ...options })],
      controllers: [ThingsController, DocsController],
      providers: [SignIn, { provide: APP_GUARD, useClass: Arrivals }, ...providers],
    }).compile();
    app =
      platform === 'express' ? compiled.createNestApplication() : compiled.createNestApplication(new FastifyAdapter());
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  }

  const ask = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> =>
    fetch(`${url}${path}`, { headers, method, redirect: 'manual' });
  const json = async (path: string, headers: Record<string, string> = {}): Promise<unknown> =>
    (await ask(path, headers)).json();

  /** Unblocks handlers once this many requests have arrived. */
  async function together(
    count: number,
    path: string,
    headers: (index: number) => Record<string, string> = () => ({}),
  ): Promise<readonly unknown[]> {
    calls.gate = new Gate();
    const pending = Array.from({ length: count }, (_, index) => ask(path, headers(index)));
    await until(() => calls.arrived >= count && calls.count > 0);
    calls.gate.open();
    return Promise.all(
      pending.map(async (answer) => ({ status: (await answer).status, body: await (await answer).json() })),
    );
  }

  beforeEach(async () => {
    calls.count = 0;
    calls.arrived = 0;
    calls.gate = new Gate();
    calls.gate.open();
    await boot();
  });

  afterEach(() => app.close());

  it('take one handler call for 20 concurrent requests', async () => {
    const answers = await together(20, '/things');
    expect(answers).toEqual(answers.map(() => ({ status: 200, body: { call: 1 } })));
    expect(await json('/things')).toEqual({ call: 1 });
    expect(calls.count).toBe(1);
  });

  it('expire with the ttl', async () => {
    await json('/things');
    await clock.advance('59s');
    expect(await json('/things')).toEqual({ call: 1 });
    await clock.advance('1s');
    expect(await json('/things')).toEqual({ call: 2 });
  });

  it('are shared by queries that differ only in order', async () => {
    expect(await json('/things?a=1&b=2')).toEqual({ call: 1 });
    expect(await json('/things?b=2&a=1')).toEqual({ call: 1 });
    expect(await json('/things?b=2')).toEqual({ call: 2 });
    expect(await json('/things?a=1&a=2')).toEqual({ call: 3 });
    expect(await json('/things?a=2&a=1')).toEqual({ call: 4 });
  });

  it('leave out other methods', async () => {
    expect(await (await ask('/things', {}, 'POST')).json()).toEqual({ call: 1 });
    expect(await (await ask('/things', {}, 'POST')).json()).toEqual({ call: 2 });
  });

  it.each(['/things/bare', '/things/twice'])(
    'are made once where the interceptor is bound by hand or twice: %s',
    async (path) => {
      expect([await json(path), await json(path)]).toEqual([{ call: 1 }, { call: 1 }]);
      expect(app.get(CacheManager).getMetrics()).toMatchObject({ requests: 2, misses: 1 });
    },
  );

  it('of GET serve HEAD, with the same headers', async () => {
    for (const path of ['/things', '/things/text', '/things/status']) {
      const got = await ask(path);
      const length = Buffer.byteLength(await got.text());
      const headed = await ask(path, {}, 'HEAD');
      expect(headed.status).toBe(got.status);
      expect(await headed.text()).toBe('');
      expect(headed.headers.get('content-length')).toBe(String(length));
      for (const name of ['content-type', 'etag', 'cache-control', 'x-made', 'x-fixed']) {
        expect(headed.headers.get(name)).toBe(got.headers.get(name));
      }
    }
    expect(calls.count).toBe(3);
  });

  it('are not made by HEAD, which runs the handler where nothing is stored', async () => {
    const headed = await ask('/things', {}, 'HEAD');
    const got = await ask('/things');
    expect(await got.json()).toEqual({ call: 2 });
    expect((await ask('/things', {}, 'HEAD')).headers.get('etag')).toBe(got.headers.get('etag'));
    expect([headed.headers.get('cache-control'), calls.count]).toEqual(['private, no-cache', 2]);
  });

  it('exist for HEAD routes', async () => {
    const answer = await ask('/things/head', {}, 'HEAD');
    expect([answer.status, answer.headers.get('x-head')]).toEqual([200, 'yes']);
  });

  it('keep status and headers, of the decorators and of the handler', async () => {
    const [first, second] = [await ask('/things/status'), await ask('/things/status')];
    expect([first.status, second.status]).toEqual([203, 203]);
    expect(second.headers.get('x-fixed')).toBe('yes');
    expect(second.headers.get('x-made')).toBe('1');
    expect(await second.json()).toEqual(await first.json());
    const [, again] = [await ask('/things/chosen'), await ask('/things/chosen')];
    expect([again.status, await again.json()]).toEqual([202, { call: 2 }]);
    const text = [await ask('/things/text'), await ask('/things/text')];
    expect(text.map((answer) => answer.headers.get('content-type'))).toEqual([
      expect.stringContaining('text/markdown'),
      expect.stringContaining('text/markdown'),
    ]);
    expect(await text[1]?.text()).toBe('call 3');
  });

  it('are the same JSON as new ones', async () => {
    expect(await json('/things/kinds')).toEqual({ at: new Date(1).toISOString(), list: [null, 1.5] });
    expect(await json('/things/kinds')).toEqual({ at: new Date(1).toISOString(), list: [null, 1.5] });
  });

  describe('are validated', () => {
    it('by ETag', async () => {
      const first = await ask('/things');
      const tag = first.headers.get('etag') ?? '';
      expect(tag).toMatch(/^W\/".+"$/);
      expect((await ask('/things')).headers.get('etag')).toBe(tag);
      for (const held of [tag, `"other", ${tag}`, tag.slice(2), '*']) {
        const answer = await raw('/things', { 'if-none-match': held });
        expect(answer).toMatchObject({ status: 304, body: '' });
        expect(answer.headers['etag']).toBe(tag);
        expect(answer.headers).toMatchObject({ 'cache-control': 'private, no-cache', vary: 'authorization, cookie' });
      }
      expect(await raw('/things', { 'if-none-match': '"other"' })).toMatchObject({ status: 200 });
      expect(calls.count).toBe(1);
    });

    it('for fetch and reloading browsers, which send no-cache as well', async () => {
      const tag = (await ask('/things')).headers.get('etag') ?? '';
      expect((await ask('/things', { 'if-none-match': tag })).status).toBe(304);
      expect((await ask('/things', { 'if-none-match': tag, 'cache-control': 'max-age=0' })).status).toBe(304);
      expect(calls.count).toBe(1);
    });

    it('where the status is declared, and where nothing was cached before', async () => {
      const tag = (await ask('/things/explicit')).headers.get('etag') ?? '';
      expect(await raw('/things/explicit', { 'if-none-match': tag })).toMatchObject({ status: 304 });
      await app.get(CacheManager).clearAll();
      calls.count = 0;
      expect(await raw('/things/explicit', { 'if-none-match': tag })).toMatchObject({ status: 304 });
      expect(calls.count).toBe(1);
    });

    it('for every successful status', async () => {
      const tag = (await ask('/things/chosen')).headers.get('etag') ?? '';
      expect((await raw('/things/chosen', { 'if-none-match': tag })).status).toBe(304);
      expect(calls.count).toBe(1);
    });
  });

  describe('have a freshness that', () => {
    it('is sent as Cache-Control and Age', async () => {
      const first = await ask('/things');
      expect(first.headers.get('cache-control')).toBe('private, no-cache');
      expect(first.headers.get('age')).toBeNull();
      await clock.advance('7500ms');
      const second = await ask('/things');
      expect(second.headers.get('cache-control')).toBe('private, no-cache');
      expect(second.headers.get('age')).toBe('7');
    });

    it('the handler sets', async () => {
      expect((await ask('/things/short')).headers.get('cache-control')).toBe('public, max-age=5, s-maxage=10');
      await clock.advance('9s');
      const kept = await ask('/things/short');
      expect(kept.headers.get('cache-control')).toBe('public, max-age=5, s-maxage=10');
      expect(await kept.json()).toEqual({ call: 1 });
      await clock.advance('1s');
      expect(await json('/things/short')).toEqual({ call: 2 });
    });

    it('no directive of a request can end', async () => {
      const directives = [{ 'cache-control': 'no-cache' }, { pragma: 'no-cache' }, { 'cache-control': 'max-age=0' }];
      await json('/things');
      for (const headers of directives) expect(await json('/things', headers)).toEqual({ call: 1 });
      expect(await json('/things', { 'cache-control': 'no-store' })).toEqual({ call: 1 });
    });

    it('a request with no-store does not start', async () => {
      expect(await json('/things', { 'cache-control': 'no-store' })).toEqual({ call: 1 });
      expect(await json('/things')).toEqual({ call: 2 });
    });

    it('follows the directives of the request where the route allows it', async () => {
      await json('/things/on-demand');
      expect(await json('/things/on-demand', { 'cache-control': 'no-cache' })).toEqual({ call: 2 });
      expect(await json('/things/on-demand')).toEqual({ call: 2 });
      expect(await json('/things/on-demand', { pragma: 'no-cache' })).toEqual({ call: 3 });
      expect(await json('/things/on-demand', { 'cache-control': 'max-age=0' })).toEqual({ call: 4 });
      expect(await json('/things/on-demand')).toEqual({ call: 4 });
    });
  });

  describe('are not shared', () => {
    it.each([[{ authorization: 'Bearer x' }], [{ cookie: 'a=b' }], [{ 'x-user': 'ann' }]])(
      'with or from a caller that sends %p',
      async (headers) => {
        expect(await json('/things/mine', headers)).toMatchObject({ call: 1 });
        expect(await json('/things/mine', headers)).toMatchObject({ call: 2 });
        expect(await json('/things/mine')).toEqual({ call: 3 });
        expect(await json('/things/mine')).toEqual({ call: 3 });
        expect(await json('/things/mine', headers)).toMatchObject({ call: 4 });
      },
    );

    it('among concurrent users', async () => {
      const answers = await together(20, '/things/mine', (index) => ({ 'x-user': `user ${index}` }));
      expect(answers).toMatchObject(answers.map((_, index) => ({ body: { user: `user ${index}` } })));
      expect(calls.count).toBe(20);
    });

    it('between callers that varyBy distinguishes, and sets Vary for caches on the way', async () => {
      const ann = await ask('/things/ours', { 'x-user': 'ann' });
      expect(ann.headers.get('cache-control')).toBe('private, no-cache');
      expect(await ann.json()).toEqual({ call: 1, user: 'ann' });
      expect(await json('/things/ours', { 'x-user': 'bob' })).toEqual({ call: 2, user: 'bob' });
      expect(await json('/things/ours', { 'x-user': 'ann', cookie: 'a=b' })).toEqual({ call: 1, user: 'ann' });
      expect([await json('/things/ours'), await json('/things/ours')]).toEqual([{ call: 3 }, { call: 4 }]);
      expect(await json('/things/ours', { cookie: 'a=b' })).toEqual({ call: 5 });
      expect(await json('/things/ours', { 'x-user': 'ann' })).toEqual({ call: 1, user: 'ann' });
    });

    it('between headers that the route varies by', async () => {
      const first = await ask('/things/spoken', { 'accept-language': 'de' });
      expect(first.headers.get('vary')).toContain('accept-language');
      expect(await json('/things/spoken', { 'accept-language': 'en' })).toEqual({ call: 2, language: 'en' });
      const again = await ask('/things/spoken', { 'accept-language': 'de' });
      expect(again.headers.get('vary')).toContain('accept-language');
      expect(await again.json()).toEqual({ call: 1, language: 'de' });
    });

    it.each(['cookie', 'private', 'no-store', 'varying', 'stream', 'readable', 'own', 'events', 'nothing', 'never'])(
      'what /things/%s answers',
      async (path) => {
        const first = await ask(`/things/${path}`);
        const text = await first.text();
        const second = await ask(`/things/${path}`);
        expect(second.status).toBe(first.status);
        expect([await second.text(), path]).not.toEqual([text || 'nothing', path]);
        expect(calls.count).toBe(2);
        expect(app.get(CacheManager).getMetrics().l1.entries).toBe(0);
      },
    );

    it('if they are redirects', async () => {
      const [, second] = [await ask('/things/moved'), await ask('/things/moved')];
      expect([second.status, second.headers.get('location')]).toEqual([302, '/things']);
      expect(calls.count).toBe(2);
    });

    it.each(['/things/own', '/things/no-store'])('among concurrent requests to %s', async (path) => {
      const answers = await together(5, path);
      expect(answers).toHaveLength(5);
      expect(answers).toEqual(expect.arrayContaining([1, 2, 3, 4, 5].map((call) => ({ status: 200, body: { call } }))));
    });
  });

  it('are not stored when the handler throws, which rejects all waiting callers', async () => {
    const answers = await together(20, '/things/error');
    expect(answers).toMatchObject(answers.map(() => ({ status: 404 })));
    expect(calls.count).toBe(1);
    expect(await json('/things/error')).toEqual({ call: 2 });
    expect(await json('/things/error')).toEqual({ call: 2 });
  });

  it('are served stale when the handler fails, but never instead of an answer such as 404', async () => {
    await app.close();
    await boot({ lanes: { standard: { ttl: '10s', grace: '1h' } } });
    calls.count = 1;
    expect(await json('/things/error')).toEqual({ call: 2 });
    await clock.advance('11s');
    calls.count = 0;
    expect((await ask('/things/error')).status).toBe(404);
    calls.count = 1;
    expect(await json('/things/down')).toEqual({ call: 2 });
    await clock.advance('11s');
    calls.count = 0;
    const stale = await ask('/things/down');
    expect([stale.status, stale.headers.get('age'), await stale.json()]).toEqual([200, '11', { call: 2 }]);
    expect(calls.count).toBe(1);
  });

  it('use lane, ttl and tags of the class, and overrides of a method', async () => {
    const docs = app.get(CacheManager).forLane('docs');
    expect([await json('/docs/a'), await json('/docs/a'), await json('/docs/b')]).toEqual([
      { call: 1 },
      { call: 1 },
      { call: 2 },
    ]);
    expect(docs.getMetrics().l1.entries).toBe(2);
    expect(await json('/docs/a/raw')).toEqual({ call: 3 });
    await clock.advance('5s');
    expect(await json('/docs/a/raw')).toEqual({ call: 4 });
    await app.get(CacheManager).invalidateByTag('page');
    expect(await json('/docs/a')).toEqual({ call: 5 });
    expect(await json('/docs/a/raw')).toEqual({ call: 6 });
  });

  it('are invalidated by tags made from the request', async () => {
    expect([await json('/things/tagged/1'), await json('/things/tagged/2')]).toEqual([{ call: 1 }, { call: 2 }]);
    await app.get(CacheManager).invalidateByTag('thing:1');
    expect([await json('/things/tagged/1'), await json('/things/tagged/2')]).toEqual([{ call: 3 }, { call: 2 }]);
  });

  it('may be used for the whole app', async () => {
    await app.close();
    await boot({}, [{ provide: APP_INTERCEPTOR, useClass: LaneCacheInterceptor }]);
    expect([await json('/things'), await json('/things')]).toEqual([{ call: 1 }, { call: 1 }]);
    expect([await json('/things/bare'), await json('/things/bare')]).toEqual([{ call: 2 }, { call: 2 }]);
    expect([await json('/things/undecorated'), await json('/things/undecorated')]).toEqual([{ call: 3 }, { call: 4 }]);
  });

  it('may be used for routes without the decorator, if the module says so', async () => {
    await app.close();
    const responses = { ...NEUTRAL, undecorated: true };
    await boot({ responses }, [{ provide: APP_INTERCEPTOR, useClass: LaneCacheInterceptor }]);
    expect([await json('/things/undecorated'), await json('/things/undecorated')]).toEqual([{ call: 1 }, { call: 1 }]);
  });

  it('are made anew when the cache is closed', async () => {
    await json('/things');
    await app.get(CacheManager).close();
    expect([await json('/things'), await json('/things')]).toEqual([{ call: 2 }, { call: 3 }]);
  });

  /** Without the validators that fetch adds by itself. */
  function raw(path: string, headers: Record<string, string>) {
    return new Promise<{ status: number | undefined; body: string; headers: Readonly<Record<string, unknown>> }>(
      (resolve, reject) => {
        const sent = httpRequest(`${url}${path}`, { headers }, (answer) => {
          let body = '';
          answer.on('data', (chunk: Buffer) => (body += chunk.toString()));
          answer.on('end', () => resolve({ status: answer.statusCode, body, headers: answer.headers }));
        });
        sent.on('error', reject);
        sent.end();
      },
    );
  }
});

describe('@CacheResponse', () => {
  it('refuses an undefined lane at boot', async () => {
    @Controller()
    class Wrong {
      @Get()
      @CacheResponse({ lane: 'marble' })
      get(): void {}
    }
    const imports = [LaneCacheModule.forRoot(MEMORY)];
    const compiled = await Test.createTestingModule({ imports, controllers: [Wrong] }).compile();
    await expect(compiled.init()).rejects.toMatchObject({
      code: 'LANE_UNKNOWN',
      message: expect.stringContaining('@CacheResponse on Wrong.get'),
    });
  });
});
