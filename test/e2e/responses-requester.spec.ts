import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  Injectable,
  Req,
  UseGuards,
  UseInterceptors,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type NestInterceptor,
  type Provider,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { CacheResponse, type CacheResponseOptions } from '../../lib/index.js';
import { Gate, until } from '../support/gate.js';
import { HttpApp, PLATFORMS } from '../support/http-app.js';

interface Incoming {
  readonly headers: Readonly<Record<string, string | undefined>>;
  user?: unknown;
}

let calls = 0;
let gate = new Gate();
/** What the handler knows of the one who asks. */
const answerTo = ({ headers, user }: Incoming): object => ({
  call: ++calls,
  for: headers['x-api-key'] ?? headers['authorization'] ?? user ?? 'anybody',
});

/** Lets in who has an API key, and does not say who that is. */
@Injectable()
class KeyGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return context.switchToHttp().getRequest<Incoming>().headers['x-api-key'] !== undefined;
  }
}

/** Counts requests, for all alike. */
@Injectable()
class Throttler implements CanActivate {
  canActivate(): boolean {
    return true;
  }
}

/** A throttler that looks at who asks after all. */
class UserThrottler extends Throttler {}

@Injectable()
class LateSignIn implements NestInterceptor {
  intercept(context: ExecutionContext, handler: CallHandler): ReturnType<CallHandler['handle']> {
    const request = context.switchToHttp().getRequest<Incoming>();
    request.user = request.headers['x-late-user'];
    return handler.handle();
  }
}

let asked = 0;
const never = (): Promise<string> => {
  asked++;
  return new Promise(() => undefined);
};

/** Rules for who asks, as an app without type checks may give them. */
const VARY_BY: Readonly<Record<string, unknown>> = {
  throws: () => {
    throw new Error('no');
  },
  rejects: () => Promise.reject(new Error('no')),
  'throws-nothing': () => {
    throw undefined;
  },
  missing: () => undefined,
  null: async () => null,
  empty: () => '',
  none: () => [],
  'one-of-two': ({ headers }: Incoming) => [headers['x-api-key'], headers['x-region']],
  object: () => ({ id: 1 }),
  nested: () => [['a']],
  symbol: () => Symbol('a'),
  function: () => () => 'a',
  NaN: () => Number.NaN,
  infinite: () => [Infinity],
  bigint: () => 1n,
};

function rulesOf(rules: object): CacheResponseOptions {
  return rules;
}

/** A route for each of the rules above. */
@Controller('broken')
class BrokenRules {}
for (const [name, varyBy] of Object.entries(VARY_BY)) {
  const handler = (request: Incoming): object => answerTo(request);
  Object.defineProperty(BrokenRules.prototype, name, { value: handler, configurable: true, writable: true });
  const descriptor = { value: handler, configurable: true, writable: true };
  Req()(BrokenRules.prototype, name, 0);
  Get(name)(BrokenRules.prototype, name, descriptor);
  CacheResponse(rulesOf({ varyBy }))(BrokenRules.prototype, name, descriptor);
}

@Controller()
class Routes {
  @Get('open')
  @CacheResponse()
  open(@Req() request: Incoming): object {
    return answerTo(request);
  }

  @Get('shared')
  @CacheResponse({ shared: true })
  shared(@Req() request: Incoming): object {
    return answerTo(request);
  }

  @Get('guarded')
  @UseGuards(KeyGuard)
  @CacheResponse()
  guarded(@Req() request: Incoming): object {
    return answerTo(request);
  }

  @Get('guarded-by-instance')
  @UseGuards(new KeyGuard())
  @CacheResponse()
  guardedByInstance(@Req() request: Incoming): object {
    return answerTo(request);
  }

  @Get('guarded-and-shared')
  @UseGuards(KeyGuard)
  @CacheResponse({ shared: true })
  guardedAndShared(): object {
    return { call: ++calls };
  }

  @Get('guarded-and-named')
  @UseGuards(KeyGuard)
  @CacheResponse({ varyBy: ({ headers }: Incoming) => headers['x-api-key'] })
  guardedAndNamed(@Req() request: Incoming): object {
    return answerTo(request);
  }

  @Get('throttled')
  @UseGuards(Throttler)
  @CacheResponse()
  throttled(@Req() request: Incoming): object {
    return answerTo(request);
  }

  @Get('throttled-by-user')
  @UseGuards(UserThrottler)
  @CacheResponse()
  throttledByUser(@Req() request: Incoming): object {
    return answerTo(request);
  }

  @Get('late')
  @CacheResponse({ varyBy: ({ user }: Incoming) => (typeof user === 'string' ? user : 'anonymous') })
  @UseInterceptors(LateSignIn)
  late(@Req() request: Incoming): object {
    return answerTo(request);
  }

  @Get('slow')
  @CacheResponse({ varyBy: never })
  slow(@Req() request: Incoming): object {
    return answerTo(request);
  }

  @Get('named')
  @CacheResponse({ varyBy: async ({ headers }: Incoming) => JSON.parse(headers['x-names'] ?? '[]') })
  named(): object {
    return { call: ++calls };
  }

  @Get('waiting')
  @CacheResponse({ varyBy: ({ headers }: Incoming) => headers['x-api-key'] })
  async waiting(@Req() request: Incoming): Promise<object> {
    const made = answerTo(request);
    await gate.whenOpen;
    return made;
  }
}

@Controller('class')
@UseGuards(KeyGuard)
@CacheResponse({ varyBy: ({ headers }: Incoming) => headers['x-api-key'] })
class GuardedController {
  @Get('named')
  named(@Req() request: Incoming): object {
    return answerTo(request);
  }

  @Get('shared')
  @CacheResponse({ shared: true })
  shared(): object {
    return { call: ++calls };
  }
}

@Controller('silent')
@UseGuards(KeyGuard)
class SilentController {
  @Get()
  @CacheResponse()
  silent(@Req() request: Incoming): object {
    return answerTo(request);
  }
}

describe.each(PLATFORMS)('who asks, on %s:', (platform) => {
  let app: HttpApp;
  const open = async (providers: Provider[] = [], useGlobal: CanActivate[] = []): Promise<void> => {
    app = await HttpApp.open(platform, {
      controllers: [Routes, BrokenRules, GuardedController, SilentController],
      providers,
      settings: { responses: { neutralGuards: [Throttler] } },
      prepare: (nest) => void nest.useGlobalGuards(...useGlobal),
    });
  };
  const key = (name: string): Record<string, string> => ({ 'x-api-key': name });

  beforeEach(async () => {
    [calls, asked, gate] = [0, 0, new Gate()];
    await open();
  });

  afterEach(() => app.close());

  it.each(Object.keys(VARY_BY))('a varyBy that gives nobody a name shares nothing (%s)', async (name) => {
    const path = `/broken/${name}`;
    const asked = async (headers: Record<string, string>): Promise<unknown> => {
      const answer = await app.ask(path, { headers });
      expect(answer.headers['cache-status']).toBe('lane-cache; fwd=bypass; detail=no-name');
      expect(answer.headers['cache-control']).toBe('private, no-cache');
      return JSON.parse(answer.body);
    };
    expect(await asked(key('ann'))).toEqual({ call: 1, for: 'ann' });
    expect(await asked(key('bob'))).toEqual({ call: 2, for: 'bob' });
    const { bypassed, requests } = app.cache.getMetrics();
    expect([bypassed['no-name'], requests]).toEqual([2, 2]);
    expect(app.warnings.filter((text) => text.startsWith('varyBy')).length).toBeLessThan(2);
  });

  it('a varyBy that never answers is waited for one second', async () => {
    const pending = app.ask('/slow', { headers: key('ann') });
    await until(() => asked > 0);
    await app.clock.advance('1s');
    expect(JSON.parse((await pending).body)).toEqual({ call: 1, for: 'ann' });
    expect(app.warnings).toContainEqual(expect.stringContaining('varyBy of @CacheResponse on Routes.slow failed'));
  });

  it('names are distinguished by their types and their lists', async () => {
    const names = [
      ['a', 'b'],
      ['a,b'],
      ['a', 'b', ''],
      'a',
      ['b', 'a'],
      1,
      '1',
      true,
      'true',
      0,
      false,
      '#',
      ['["a"]'],
      'ä',
      'a\u0308',
    ];
    const ask = async (name: unknown): Promise<unknown> =>
      (
        (await app.json('/named', {
          'x-names': JSON.stringify(name).replaceAll(
            /[^ -~]/g,
            (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
          ),
        })) as { call: number }
      ).call;
    const first: unknown[] = [];
    for (const name of names) first.push(await ask(name));
    expect(new Set(first).size).toBe(names.length);
    const second: unknown[] = [];
    for (const name of names) second.push(await ask(name));
    // the one with an empty name is never stored
    expect(second.filter((call, index) => call === first[index]).length).toBe(names.length - 1);
    expect(await ask(['a'])).toBe(await ask('a'));
  });

  it('concurrent requests of two names never share an answer', async () => {
    const pending = Array.from({ length: 20 }, (_, index) =>
      app.json('/waiting', key(index % 2 === 0 ? 'ann' : 'bob')),
    );
    await until(() => calls === 2);
    gate.open();
    const answers = (await Promise.all(pending)) as { for: string }[];
    expect(answers.map((answer) => answer.for)).toEqual(answers.map((_, index) => (index % 2 === 0 ? 'ann' : 'bob')));
    expect(calls).toBe(2);
  });

  it.each(['guarded', 'guarded-by-instance', 'throttled-by-user', 'silent'])(
    'a route behind a guard shares nothing without a name: %s',
    async (path) => {
      expect(await app.json(`/${path}`, key('ann'))).toEqual({ call: 1, for: 'ann' });
      expect(await app.json(`/${path}`, key('bob'))).toEqual({ call: 2, for: 'bob' });
      expect(app.cache.getMetrics().bypassed['no-name']).toBe(2);
    },
  );

  it('a route behind a guard shares by name, or with all where it says so', async () => {
    expect(await app.json('/guarded-and-named', key('ann'))).toEqual({ call: 1, for: 'ann' });
    expect(await app.json('/guarded-and-named', key('bob'))).toEqual({ call: 2, for: 'bob' });
    expect(await app.json('/guarded-and-named', key('ann'))).toEqual({ call: 1, for: 'ann' });
    expect(await app.json('/guarded-and-shared', key('ann'))).toEqual({ call: 3 });
    expect(await app.json('/guarded-and-shared', key('bob'))).toEqual({ call: 3 });
    expect((await app.ask('/guarded-and-shared')).status).toBe(403);
  });

  it('a neutral guard is no guard', async () => {
    expect([await app.json('/throttled'), await app.json('/throttled')]).toMatchObject([{ call: 1 }, { call: 1 }]);
  });

  it('what a method says about who asks wins over its class', async () => {
    expect(await app.json('/class/named', key('ann'))).toEqual({ call: 1, for: 'ann' });
    expect(await app.json('/class/named', key('bob'))).toEqual({ call: 2, for: 'bob' });
    expect(await app.json('/class/shared', key('ann'))).toEqual({ call: 3 });
    expect(await app.json('/class/shared', key('bob'))).toEqual({ call: 3 });
  });

  it.each([{ authorization: 'Bearer a' }, { cookie: 'a=b' }])('%p makes a request personal', async (headers) => {
    expect(await app.json('/open')).toMatchObject({ call: 1 });
    expect(await app.json('/open', headers)).toMatchObject({ call: 2 });
    expect(await app.json('/open', headers)).toMatchObject({ call: 3 });
    expect(await app.json('/open')).toMatchObject({ call: 1 });
    expect(app.cache.getMetrics().bypassed.personal).toBe(2);
    expect(await app.json('/shared', headers)).toMatchObject({ call: 4 });
    expect(await app.json('/shared')).toMatchObject({ call: 4 });
  });

  it('a user who becomes known after the name was made shares nothing', async () => {
    expect(await app.json('/late', { 'x-late-user': 'ann' })).toEqual({ call: 1, for: 'ann' });
    expect(await app.json('/late', { 'x-late-user': 'bob' })).toEqual({ call: 2, for: 'bob' });
    expect([await app.json('/late'), await app.json('/late')]).toMatchObject([{ call: 3 }, { call: 3 }]);
  });

  it('the boot names the routes behind guards that say nothing, in one message', () => {
    const warned = app.warnings.filter((text) => text.includes('behind a guard'));
    expect(warned).toHaveLength(1);
    expect(warned[0]).toContain(
      'Routes.guarded, Routes.guardedByInstance, Routes.throttledByUser, SilentController.silent.',
    );
    expect(warned[0]).toMatch(/Add varyBy.*shared: true.*responses\.neutralGuards/);
  });

  it.each<[string, () => Promise<void>]>([
    ['APP_GUARD', () => open([{ provide: APP_GUARD, useClass: KeyGuard }])],
    ['APP_GUARD with a value', () => open([{ provide: APP_GUARD, useValue: new KeyGuard() }])],
    ['useGlobalGuards', () => open([], [new KeyGuard()])],
  ])('a global guard counts for every route: %s', async (_, boot) => {
    await app.close();
    await boot();
    expect(await app.json('/open', key('ann'))).toEqual({ call: 1, for: 'ann' });
    expect(await app.json('/open', key('bob'))).toEqual({ call: 2, for: 'bob' });
    expect(app.warnings.find((text) => text.includes('behind a guard'))).toContain('Routes.open,');
  });

  it('a neutral global guard counts for none', async () => {
    await app.close();
    await open([{ provide: APP_GUARD, useClass: Throttler }], [new Throttler()]);
    expect([await app.json('/open'), await app.json('/open')]).toMatchObject([{ call: 1 }, { call: 1 }]);
  });
});
