import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  Header,
  HttpCode,
  Injectable,
  Res,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { CacheManager, CacheResponse, LaneCacheModule } from '../../lib/index.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { Gate, until } from '../support/gate.js';

interface Incoming {
  readonly headers: Readonly<Record<string, string | undefined>>;
}

interface Outgoing {
  header(name: string, value: string): unknown;
}

let calls = 0;
let arrived = 0;
let gate = new Gate();
const next = () => ({ call: ++calls });

/** Sets response headers on request, as CORS and session middleware do before the handler. */
@Injectable()
class Before implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const http = context.switchToHttp();
    const [name, value] = http.getRequest<Incoming>().headers['x-before']?.split(': ') ?? [];
    if (name !== undefined) http.getResponse<Outgoing>().header(name, value ?? '');
    arrived++;
    return true;
  }
}

/** Like a StreamableFile of another copy of Nest. */
class Foreign {
  constructor(readonly call: number) {}

  getStream(): string {
    return 'read once';
  }
}

@Controller()
class AnswersController {
  @Get('plain')
  @CacheResponse({ ttl: '1m' })
  plain(): object {
    return next();
  }

  @Get('spoken')
  @CacheResponse({ varyHeaders: ['Accept-Language'] })
  spoken(): object {
    return next();
  }

  @Get('tagged')
  @CacheResponse()
  tagged(@Res({ passthrough: true }) response: Outgoing): object {
    response.header('ETag', '"by hand"');
    response.header('Date', new Date(0).toUTCString());
    return next();
  }

  @Get('partial')
  @HttpCode(206)
  @CacheResponse()
  partial(): object {
    return next();
  }

  @Get('never')
  @CacheResponse({ ttl: 0 })
  async never(): Promise<object> {
    const made = next();
    await gate.whenOpen;
    return made;
  }

  @Get('foreign')
  @CacheResponse()
  async foreign(): Promise<object> {
    const made = new Foreign(++calls);
    await gate.whenOpen;
    return made;
  }

  @Get('generated')
  @CacheResponse()
  @Header('Content-Type', 'application/json')
  async generated(): Promise<AsyncIterable<string>> {
    const made = JSON.stringify(next());
    await gate.whenOpen;
    return (async function* () {
      yield made;
    })();
  }
}

describe.each(['express', 'fastify'] as const)('headers on %s', (platform) => {
  const clock = new FakeClock();
  let app: INestApplication;
  let url: string;

  const ask = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${url}/${path}`, { headers });
  const callOf = async (answer: Promise<Response> | Response): Promise<unknown> => (await (await answer).json()).call;

  beforeEach(async () => {
    [calls, arrived, gate] = [0, 0, new Gate()];
    gate.open();
    const compiled = await Test.createTestingModule({
      imports: [
        LaneCacheModule.forRoot({ directory: false, logger: false, clock, responses: { neutralGuards: [Before] } }),
      ],
      controllers: [AnswersController],
      providers: [{ provide: APP_GUARD, useClass: Before }],
    }).compile();
    app =
      platform === 'express' ? compiled.createNestApplication() : compiled.createNestApplication(new FastifyAdapter());
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });

  afterEach(() => app.close());

  it('that name everything in Vary leave no other name in it', async () => {
    expect((await ask('spoken', { 'x-before': 'Vary: *' })).headers.get('vary')).toBe('*');
  });

  it('of CORS and compression are kept, and do not prevent caching', async () => {
    for (const name of ['Origin', 'accept-encoding']) {
      calls = 0;
      await app.get(CacheManager).clearAll();
      const answers = [
        await ask('spoken', { 'x-before': `Vary: ${name}` }),
        await ask('spoken', { 'x-before': `Vary: ${name}` }),
      ];
      for (const answer of answers) {
        expect(answer.headers.get('vary')).toBe(`${name.toLowerCase()}, accept-language, authorization, cookie`);
        expect(await callOf(answer)).toBe(1);
      }
    }
  });

  it('that forbid cached answers make a request bypass the cache', async () => {
    await ask('plain');
    for (const [index, control] of ['private', 'no-store'].entries()) {
      const answer = await ask('plain', { 'x-before': `Cache-Control: ${control}` });
      expect([answer.headers.get('cache-control'), await callOf(answer)]).toEqual([control, index + 2]);
    }
    expect(await callOf(ask('plain'))).toBe(1);
    expect(app.get(CacheManager).getMetrics().bypassed['no-store']).toBe(2);
  });

  it('that forbid clients to use answers unasked say nothing about the cache', async () => {
    await ask('plain');
    const answer = await ask('plain', { 'x-before': 'Cache-Control: no-cache' });
    expect([answer.headers.get('cache-control'), await callOf(answer)]).toEqual(['no-cache', 1]);
  });

  it('that set a cookie beside a copy make the answer private', async () => {
    await ask('plain');
    const answer = await ask('plain', { 'x-before': 'Set-Cookie: session=1' });
    expect(answer.headers.get('cache-control')).toBe('private, no-cache');
    expect(answer.headers.get('set-cookie')).toBe('session=1');
    expect(await callOf(answer)).toBe(1);
    expect((await ask('plain')).headers.get('set-cookie')).toBeNull();
  });

  it('of the message are sent anew, and an ETag of the handler is kept', async () => {
    await ask('tagged');
    const answer = await ask('tagged');
    expect([answer.headers.get('etag'), await callOf(answer)]).toEqual(['"by hand"', 1]);
    expect(Date.parse(answer.headers.get('date') ?? '')).toBeGreaterThan(0);
    expect((await ask('tagged', { 'if-none-match': 'W/"by hand"' })).status).toBe(304);
  });

  it('are left as they are where nothing is cached', async () => {
    for (const path of ['never', 'partial']) {
      const answers = [await ask(path), await ask(path)];
      expect(answers.map((answer) => answer.headers.get('cache-control'))).toEqual([null, null]);
      expect(await callOf(answers[0] ?? ask(path))).not.toBe(await callOf(answers[1] ?? ask(path)));
    }
    expect(app.get(CacheManager).getMetrics()).toMatchObject({ requests: 1 + 1, misses: 2 });
  });

  it.each(['never', 'foreign', 'generated'])('concurrent callers of /%s each receive their own body', async (path) => {
    gate = new Gate();
    const pending = Array.from({ length: 4 }, () => ask(path));
    await until(() => arrived >= 4 && calls > 0);
    gate.open();
    const bodies = await Promise.all(pending.map(callOf));
    expect(bodies.toSorted()).toEqual([1, 2, 3, 4]);
  });
});
