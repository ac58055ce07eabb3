import * as jest from '@jest/globals';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Header, Req, Res, UseGuards, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Agent, interceptors, request, type Dispatcher } from 'undici';
import { CacheResponse } from '../../lib/index.js';
import { HttpApp, PLATFORMS } from '../support/http-app.js';
import { describeWithProgram } from '../support/installed.js';
import { Nginx } from '../support/nginx.js';

interface Incoming {
  readonly headers: Readonly<Record<string, string | undefined>>;
}

interface Outgoing {
  header(name: string, value: string): unknown;
}

let calls = 0;
const answerTo = ({ headers }: Incoming): object => ({
  call: ++calls,
  for: headers['x-api-key'] ?? headers['cookie'] ?? headers['authorization'] ?? headers['accept-language'] ?? 'anybody',
});
const keyOf = ({ headers }: Incoming): string | undefined => headers['x-api-key'];

class KeyGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return keyOf(context.switchToHttp().getRequest<Incoming>()) !== undefined;
  }
}

@Controller()
class Routes {
  @Get('plain')
  @CacheResponse({ tags: ['all'] })
  plain(@Req() incoming: Incoming): object {
    return answerTo(incoming);
  }

  @Get('named')
  @CacheResponse({ varyBy: keyOf, tags: ['all'] })
  named(@Req() incoming: Incoming): object {
    return answerTo(incoming);
  }

  @Get('named-and-kept')
  @CacheResponse({ varyBy: keyOf, varyHeaders: ['X-Api-Key'], clientMaxAge: '10m' })
  namedAndKept(@Req() incoming: Incoming): object {
    return answerTo(incoming);
  }

  @Get('kept')
  @CacheResponse({ shared: true, clientMaxAge: '10m' })
  kept(): object {
    return { call: ++calls };
  }

  @Get('kept-unless-personal')
  @CacheResponse({ clientMaxAge: '10m' })
  keptUnlessPersonal(@Req() incoming: Incoming): object {
    return answerTo(incoming);
  }

  @Get('guarded')
  @UseGuards(KeyGuard)
  @CacheResponse({ shared: true, clientMaxAge: '10m' })
  guarded(): object {
    return { call: ++calls };
  }

  @Get('spoken')
  @CacheResponse({ shared: true, clientMaxAge: '10m', varyHeaders: ['Accept-Language'] })
  spoken(@Req() incoming: Incoming): object {
    return answerTo(incoming);
  }

  @Get('own')
  @CacheResponse({ ttl: '1h', tags: ['all'] })
  @Header('Cache-Control', 'public, max-age=600')
  own(): object {
    return { call: ++calls };
  }

  @Get('cookie')
  @CacheResponse({ shared: true, clientMaxAge: '10m' })
  cookie(@Res({ passthrough: true }) response: Outgoing): object {
    response.header('Set-Cookie', `visit=${calls}`);
    return { call: ++calls };
  }
}

interface Got {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Readonly<Record<string, unknown>>;
}

type Ask = (path: string, headers?: Record<string, string>) => Promise<Got>;

async function got(url: string, headers: Record<string, string>, dispatcher: Dispatcher): Promise<Got> {
  const answer = await request(url, { headers, dispatcher });
  const text = await answer.body.text();
  return { status: answer.statusCode, body: text === '' ? undefined : JSON.parse(text), headers: answer.headers };
}

/** What holds behind every cache. */
function promises(open: () => { readonly ask: Ask; readonly app: HttpApp }): void {
  const users = ['ann', 'bob', 'ann', 'bob'];

  it.each<[string, (user: string) => Record<string, string>]>([
    ['/named', (user) => ({ 'x-api-key': user })],
    ['/named-and-kept', (user) => ({ 'x-api-key': user })],
    ['/plain', (cookie) => ({ cookie })],
    ['/plain', (authorization) => ({ authorization })],
    ['/kept-unless-personal', (cookie) => ({ cookie })],
    ['/kept-unless-personal', (authorization) => ({ authorization })],
    ['/spoken', (language) => ({ 'accept-language': language })],
  ])('gives each who asks %s an answer of their own', async (path, headersOf) => {
    const { ask } = open();
    for (const user of users) expect((await ask(path, headersOf(user))).body).toMatchObject({ for: user });
  });

  it('asks again for what the route keeps nobody from changing', async () => {
    const { ask, app } = open();
    for (const call of [1, 1]) expect((await ask('/plain')).body).toMatchObject({ call });
    await app.cache.invalidateByTag('all');
    for (const call of [2, 2]) expect((await ask('/plain')).body).toMatchObject({ call });
  });

  it('does not ask again for what the route lets it keep, nor for what the handler does', async () => {
    const { ask, app } = open();
    for (const path of ['/kept', '/own']) {
      const first = await ask(path);
      await app.cache.clearAll();
      expect((await ask(path)).body).toEqual(first.body);
    }
    expect(calls).toBe(2);
  });
}

/** What holds behind a cache that several clients share. */
function promisesToMany(open: () => { readonly ask: Ask }): void {
  it('gives no answer to whom the guard does not let in', async () => {
    const { ask } = open();
    expect((await ask('/guarded', { 'x-api-key': 'ann' })).body).toEqual({ call: 1 });
    expect((await ask('/guarded')).status).toBe(403);
  });

  it('hands nobody the cookie of another', async () => {
    const { ask } = open();
    const [first, second] = [await ask('/cookie'), await ask('/cookie')];
    expect([first.headers['set-cookie'], second.headers['set-cookie']]).not.toContain(undefined);
    expect(second.headers['set-cookie']).not.toEqual(first.headers['set-cookie']);
  });
}

describe.each(PLATFORMS)('on %s', (platform) => {
  let app: HttpApp;

  beforeEach(async () => {
    calls = 0;
    app = await HttpApp.open(platform, { controllers: [Routes] });
  });

  afterEach(() => app.close());

  describeWithProgram(jest, ['nginx'], 'nginx in front of an app', (program) => {
    let nginx: Nginx;
    let agent: Agent;
    const ask: Ask = (path, headers = {}) => got(`${nginx.url}${path}`, headers, agent);

    beforeEach(async () => {
      nginx = await Nginx.inFrontOf(program, app.url);
      agent = new Agent();
    });

    afterEach(async () => {
      await agent.close();
      await nginx.close();
    });

    promises(() => ({ ask, app }));
    promisesToMany(() => ({ ask }));

    it('keeps what is public, and nothing else', async () => {
      const did = async (path: string, headers: Record<string, string> = {}): Promise<unknown> => {
        await ask(path, headers);
        return (await ask(path, headers)).headers['x-nginx'];
      };
      expect([await did('/kept'), await did('/own'), await did('/spoken', { 'accept-language': 'de' })]).toEqual([
        'HIT',
        'HIT',
        'HIT',
      ]);
      expect([await did('/plain'), await did('/cookie'), await did('/guarded', { 'x-api-key': 'a' })]).toEqual([
        'MISS',
        'MISS',
        'MISS',
      ]);
      expect(await did('/kept-unless-personal', { cookie: 'a=b' })).toBe('MISS');
    });
  });

  describe.each(['shared', 'private'] as const)('the %s cache of undici', (type) => {
    let agent: Dispatcher;
    const ask: Ask = (path, headers = {}) => got(`${app.url}${path}`, headers, agent);

    beforeEach(() => {
      agent = new Agent().compose(interceptors.cache({ type }));
    });

    afterEach(() => agent.close());

    promises(() => ({ ask, app }));
    if (type === 'shared') promisesToMany(() => ({ ask }));
  });
});
