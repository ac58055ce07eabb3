import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Catch,
  Controller,
  Get,
  HttpException,
  Injectable,
  NotFoundException,
  Param,
  Query,
  Redirect,
  Req,
  Res,
  UseFilters,
  type ArgumentsHost,
  type ExceptionFilter,
} from '@nestjs/common';
import { MessagePattern } from '@nestjs/microservices';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Test } from '@nestjs/testing';
import { CacheResponse, LaneCacheModule, type CacheResponseOptions } from '../../lib/index.js';
import { HttpApp, PLATFORMS } from '../support/http-app.js';

let calls = 0;
let filtered = 0;
const next = (): { call: number } => ({ call: ++calls });

interface Outgoing {
  status(code: number): { json?(body: unknown): unknown; send(body: unknown): unknown };
  header(name: string, value: string): unknown;
}

@Catch(NotFoundException)
class NotFoundFilter implements ExceptionFilter {
  catch(error: HttpException, host: ArgumentsHost): void {
    filtered++;
    host.switchToHttp().getResponse<Outgoing>().status(error.getStatus()).send({ filtered: error.getResponse() });
  }
}

class TeapotError extends HttpException {
  constructor() {
    super('short and stout', 418);
  }
}

@Controller()
class Routes {
  @Get('query')
  @CacheResponse()
  query(@Query() query: object): object {
    return { ...next(), query: { ...query } };
  }

  @Get('only')
  @CacheResponse({ query: { only: ['page', 'filter*'] } })
  only(): object {
    return next();
  }

  @Get('ignored')
  @CacheResponse({ query: { ignore: ['utm_*', 'gclid'] } })
  ignored(): object {
    return next();
  }

  @Get('host')
  @CacheResponse()
  host(@Req() { headers }: { headers: { host: string } }): object {
    return { ...next(), host: headers.host };
  }

  @Get('some-hosts')
  @CacheResponse({ hosts: ['good.example', 'good.example:8080'] })
  someHosts(): object {
    return next();
  }

  @Get('any-host')
  @CacheResponse({ hosts: false })
  anyHost(): object {
    return next();
  }

  @Get('pages/:id')
  @CacheResponse({ key: 'page:{params.id}', tags: ['pages', 'page:{params.id}'], shared: true })
  page(@Param('id') id: string): object {
    return { ...next(), id };
  }

  @Get('found')
  @CacheResponse({ key: 'found:{query.q}', shared: true })
  found(): object {
    return next();
  }

  @Get('keyed/:what')
  @CacheResponse({ key: (request: { params: { what: string } }) => KEYS[request.params.what]?.() as string })
  keyed(): object {
    return next();
  }

  @Get('tagged/:what')
  @CacheResponse({ tags: (request: { params: { what: string } }) => KEYS[request.params.what]?.() as never })
  tagged(): object {
    return next();
  }

  @Get('missing')
  @UseFilters(NotFoundFilter)
  @CacheResponse({ ttl: '1m', statuses: { 404: '10s' } })
  missing(): object {
    throw new NotFoundException({ ...next(), why: 'gone' });
  }

  @Get('missing-for-all')
  @CacheResponse({ statuses: [404] })
  missingForAll(@Query('found') found?: string): object {
    const made = next();
    if (found === undefined) throw new NotFoundException('nothing here');
    return made;
  }

  @Get('teapot')
  @CacheResponse({ statuses: [418] })
  teapot(): object {
    next();
    throw new TeapotError();
  }

  @Get('moved')
  @Redirect('/elsewhere', 301)
  @CacheResponse({ statuses: [301] })
  moved(): void {
    next();
  }

  @Get('moved-by-value')
  @Redirect()
  @CacheResponse({ statuses: { 307: '10s' } })
  movedByValue(): object {
    return { url: `/to/${next().call}`, statusCode: 307 };
  }

  @Get('set')
  @CacheResponse({ statuses: [201] })
  set(@Res({ passthrough: true }) response: Outgoing): object {
    response.status(201);
    response.header('X-Call', String(calls + 1));
    return next();
  }

  @Get('empty')
  @CacheResponse({ statuses: [204] })
  empty(@Res({ passthrough: true }) response: Outgoing): void {
    response.status(204);
    next();
  }

  @Get('text')
  @CacheResponse()
  text(): string {
    return `call ${next().call}`;
  }
}

/** What functions among the rules may give. */
const KEYS: Readonly<Record<string, () => unknown>> = {
  text: () => ['fixed'],
  throws: () => {
    throw new Error('no');
  },
  promise: () => Promise.resolve('key'),
  empty: () => '',
  object: () => ({}),
  long: () => ['t'.repeat(300)],
};

@Injectable()
class Resolver {
  @CacheResponse()
  user(): object {
    return {};
  }
}

@Controller()
class Messages {
  @MessagePattern('user')
  @CacheResponse()
  user(): object {
    return {};
  }
}

@Controller()
@CacheResponse()
class Pings {
  @MessagePattern('ping')
  ping(): object {
    return {};
  }
}

describe.each(PLATFORMS)('which requests share an answer, on %s:', (platform) => {
  let app: HttpApp;
  const callOf = async (path: string, headers: Record<string, string> = {}): Promise<number> =>
    ((await app.json(path, headers)) as { call: number }).call;

  beforeEach(async () => {
    [calls, filtered] = [0, 0];
    app = await HttpApp.open(platform, {
      controllers: [Routes, Messages, Pings],
      providers: [Resolver],
      trustProxy: true,
      prepare: (nest) => {
        if (platform === 'express') (nest as NestExpressApplication).set('query parser', 'extended');
      },
    });
  });

  afterEach(() => app.close());

  it('those whose parameters are equal as parsed, in any order', async () => {
    expect(await callOf('/query?a=1&b=2&c')).toBe(1);
    expect(await callOf('/query?c=&b=2&%61=1')).toBe(1);
    expect(await callOf('/query?a=1&b=2')).toBe(2);
    const [one, other] = [await app.json('/query?[a]=1&a=2'), await app.json('/query?a=2&[a]=1')];
    const lists = [{ a: ['1', '2'] }, { a: ['2', '1'] }];
    const texts = [
      { '[a]': '1', a: '2' },
      { '[a]': '1', a: '2' },
    ];
    expect([one, other]).toMatchObject((platform === 'express' ? lists : texts).map((query) => ({ query })));
    expect(await app.json('/query?x=1&x=2')).toMatchObject({ query: { x: ['1', '2'] } });
    expect(await app.json('/query?x=2&x=1')).toMatchObject({ query: { x: ['2', '1'] } });
    expect(await app.json('/query?x=1,2')).toMatchObject({ query: { x: '1,2' } });
  });

  it('those that differ in parameters that do not count', async () => {
    const calledBy = [];
    for (let n = 0; n < 600; n++) calledBy.push(await callOf(`/ignored?id=7&utm_source=${n}&gclid=${n}`));
    expect(new Set(calledBy)).toEqual(new Set([1]));
    expect(app.cache.getMetrics().l1).toMatchObject({ entries: 1, evictions: 0 });
    expect(await callOf('/ignored?id=8')).toBe(2);
    expect([await callOf('/only?page=1&x=1'), await callOf('/only?x=2&page=1')]).toEqual([3, 3]);
    expect([await callOf('/only?filter_a=1'), await callOf('/only?filter_a=2'), await callOf('/only')]).toEqual([
      4, 5, 6,
    ]);
  });

  it('those for one host with its port', async () => {
    const hosts = ['good.example', 'good.example:1337', 'other.example', '[::1]:80'];
    for (const [index, host] of hosts.entries()) expect(await callOf('/host', { host })).toBe(index + 1);
    expect(await callOf('/host', { host: 'GOOD.example' })).toBe(1);
    expect(await callOf('/host', { host: 'proxy', 'x-forwarded-host': 'good.example' })).toBe(1);
    expect(await callOf('/host', { host: 'good.example', 'x-forwarded-proto': 'https' })).toBe(5);
  });

  it.each(['good.example:x@evil.example', 'good.example:99999', 'good.example/', 'a b', 'good.example:80:80'])(
    'none for the invalid host %s',
    async (host) => {
      expect(await callOf('/host', { host: 'good.example' })).toBe(1);
      expect(await app.json('/host', { host })).toEqual({ call: 2, host });
      expect(await app.json('/host', { host: 'proxy', 'x-forwarded-host': host })).toMatchObject({ call: 3 });
      expect(await app.json('/host', { host: 'good.example' })).toEqual({ call: 1, host: 'good.example' });
      expect(app.cache.getMetrics().bypassed.host).toBe(2);
    },
  );

  it('those for the hosts of the route, or for whatever host', async () => {
    const at = (path: string, host: string): Promise<number> => callOf(path, { host });
    expect([await at('/some-hosts', 'good.example'), await at('/some-hosts', 'good.example')]).toEqual([1, 1]);
    expect([await at('/some-hosts', 'evil.example'), await at('/some-hosts', 'evil.example')]).toEqual([2, 3]);
    expect(await at('/some-hosts', 'good.example:8080')).toBe(4);
    expect([await at('/any-host', 'a.example'), await at('/any-host', 'b.example:1@c')]).toEqual([5, 5]);
  });

  it('those of one key, made by a template or a function', async () => {
    expect([await callOf('/pages/7?x=1'), await callOf('/pages/7?x=2'), await callOf('/pages/8')]).toEqual([1, 1, 2]);
    await app.cache.invalidateByTag('page:7');
    expect([await callOf('/pages/7'), await callOf('/pages/8')]).toEqual([3, 2]);
    await app.cache.invalidateByTag('pages');
    expect([await callOf('/pages/7'), await callOf('/pages/8')]).toEqual([4, 5]);
    expect([await callOf('/found?q=a'), await callOf('/found?q=a&r=1'), await callOf('/found?q=b')]).toEqual([6, 6, 7]);
    expect([await callOf('/tagged/text'), await callOf('/tagged/text')]).toEqual([8, 8]);
  });

  it.each([
    '/found',
    '/found?q=1&q=2',
    '/keyed/throws',
    '/keyed/promise',
    '/keyed/empty',
    '/keyed/object',
    '/tagged/throws',
    '/tagged/promise',
    '/tagged/object',
    '/tagged/long',
  ])('none where no key or tags can be made: %s', async (path) => {
    expect([await callOf(path), await callOf(path)]).toEqual([1, 2]);
    expect(app.cache.getMetrics().bypassed['unkeyable-arguments']).toBe(2);
    expect(app.warnings.filter((text) => text.includes('found no key or tags'))).toHaveLength(1);
  });

  it('those for a part, and those with a body, are past the cache', async () => {
    await app.ask('/text');
    expect((await app.ask('/text', { headers: { range: 'bytes=0-3' } })).body).toBe('call 2');
    expect(app.cache.getMetrics().bypassed.request).toBe(1);
  });

  describe('an answer of another status', () => {
    it('is kept if the route lists it, for a ttl of its own, and filters answer it', async () => {
      const first = await app.ask('/missing');
      const second = await app.ask('/missing');
      expect([first.status, second.status, second.body]).toEqual([404, 404, first.body]);
      expect(JSON.parse(second.body)).toEqual({ filtered: { call: 1, why: 'gone' } });
      expect([calls, filtered]).toEqual([1, 2]);
      expect(second.headers).toMatchObject({
        'cache-control': 'private, no-cache',
        'cache-status': 'lane-cache; hit; ttl=10',
      });
      await app.clock.advance('10s');
      expect(JSON.parse((await app.ask('/missing')).body)).toMatchObject({ filtered: { call: 2 } });
    });

    it('is kept alone by a list without 200', async () => {
      for (const _ of [1, 2])
        expect(await app.json('/missing-for-all')).toMatchObject({ statusCode: 404, message: 'nothing here' });
      expect(calls).toBe(1);
      expect([await callOf('/missing-for-all?found=1'), await callOf('/missing-for-all?found=1')]).toEqual([2, 3]);
    });

    it('is kept as status and body, if it is an exception of the app', async () => {
      const [first, second] = [await app.ask('/teapot'), await app.ask('/teapot')];
      expect([second.status, second.body, calls]).toEqual([418, first.body, 1]);
    });

    it.each([
      ['/moved', 301, '/elsewhere'],
      ['/moved-by-value', 307, '/to/1'],
    ])('is kept if it is a redirect: %s', async (path, status, location) => {
      for (const _ of [1, 2]) {
        const answer = await app.ask(path);
        expect([answer.status, answer.headers.location, answer.headers['cache-control']]).toEqual([
          status,
          location,
          'private, no-cache',
        ]);
      }
      expect(calls).toBe(1);
    });

    it('is kept if the handler sets it', async () => {
      const [first, second] = [await app.ask('/set'), await app.ask('/set')];
      expect([second.status, second.body, second.headers['x-call']]).toEqual([201, first.body, '1']);
      for (const _ of [1, 2]) expect((await app.ask('/empty')).status).toBe(204);
      expect(calls).toBe(2);
    });
  });

  it('the boot says where @CacheResponse does nothing, and what to use', () => {
    expect(app.warnings).toContainEqual(
      expect.stringMatching(/does nothing on Messages\.user, Pings, Resolver\.user: .*@Cached/),
    );
  });
});

describe('@CacheResponse refuses', () => {
  it.each<[string, object, string]>([
    ['both ways to choose parameters', { query: { only: ['a'], ignore: ['b'] } }, 'query'],
    ['a name that is for all', { varyBy: () => 1, shared: true }, 'shared'],
    ['a host in capitals', { hosts: ['Good.example'] }, 'hosts'],
    ['a host with a path', { hosts: ['good.example/a'] }, 'hosts'],
    ['a part as an answer to keep', { statuses: [206] }, 'statuses'],
    ['a status out of range', { statuses: { 99: '1s' } }, 'statuses'],
    ['a template of something else', { key: 'a:{body.id}' }, 'key'],
    ['a tag of something else', { tags: ['a:{0}'] }, 'tags'],
    ['values that run together', { key: '{params.a}{params.b}' }, 'key'],
    ['an empty pattern', { query: { only: [''] } }, 'query.only'],
  ])('%s', (_, options, field) => {
    expect(() => CacheResponse(options as CacheResponseOptions)).toThrow(
      expect.objectContaining({ code: 'DECORATOR_INVALID', field }),
    );
  });

  it('at boot, to let clients keep answers of users whom they cannot tell apart', async () => {
    @Controller()
    @CacheResponse({ varyBy: () => 'a' })
    class Wrong {
      @Get()
      @CacheResponse({ clientMaxAge: '1m' })
      get(): void {}
    }
    const imports = [LaneCacheModule.forRoot({ directory: false, logger: false })];
    const compiled = await Test.createTestingModule({ imports, controllers: [Wrong] }).compile();
    await expect(compiled.init()).rejects.toMatchObject({
      code: 'DECORATOR_INVALID',
      message: expect.stringContaining('Wrong.get: clientMaxAge beside varyBy needs varyHeaders'),
    });
  });
});
