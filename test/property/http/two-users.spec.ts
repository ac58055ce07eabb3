import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Req, UseGuards, type CanActivate, type INestApplication } from '@nestjs/common';
import * as fc from 'fast-check';
import { CacheResponse, type CacheResponseOptions } from '../../../lib/index.js';
import { HttpApp, PLATFORMS, type Answer } from '../../support/http-app.js';

const RUNS = Math.min(5_000, Number(process.env['LANE_CACHE_ROUNDS'] ?? 80));
/** Each run takes about 50 ms. */
const TIMEOUT_MS = 60_000 + RUNS * 500;

interface Incoming {
  readonly headers: Readonly<Record<string, string | undefined>>;
  user?: unknown;
}

/** The headers by which an app may tell users apart. `x-signed-in` becomes `request.user`. */
const WAYS = ['authorization', 'cookie', 'x-signed-in', 'x-api-key', 'x-region'] as const;
type Way = (typeof WAYS)[number];
const READ: Readonly<Record<Way, (request: Incoming) => string | undefined>> = {
  authorization: ({ headers }) => headers['authorization'],
  cookie: ({ headers }) => headers['cookie'],
  'x-signed-in': ({ user }) => (typeof user === 'string' ? user : undefined),
  'x-api-key': ({ headers }) => headers['x-api-key'],
  'x-region': ({ headers }) => headers['x-region'],
};

class LetIn implements CanActivate {
  canActivate(): boolean {
    return true;
  }
}

/** How routes say who asks: what the handler may then know of them, and what goes past the cache otherwise. */
const REQUESTERS: Readonly<Record<string, { ways: readonly Way[]; guarded: boolean; rules: CacheResponseOptions }>> = {
  nothing: { ways: ['authorization', 'cookie', 'x-signed-in'], guarded: false, rules: {} },
  guard: { ways: WAYS, guarded: true, rules: {} },
  key: { ways: ['x-api-key'], guarded: false, rules: { varyBy: READ['x-api-key'] } },
  pair: {
    ways: ['x-api-key', 'x-region'],
    guarded: true,
    rules: { varyBy: (request: Incoming) => [READ['x-api-key'](request), READ['x-region'](request)] as string[] },
  },
  late: {
    ways: ['x-signed-in', 'cookie'],
    guarded: true,
    rules: {
      varyBy: async (request: Incoming) => [READ['x-signed-in'](request) as string, READ.cookie(request) as string],
    },
  },
  all: {
    ways: WAYS,
    guarded: false,
    rules: { varyBy: (request: Incoming) => WAYS.map((way) => READ[way](request) ?? false) },
  },
  header: { ways: ['x-region'], guarded: false, rules: { varyHeaders: ['X-Region'] } },
  everybody: { ways: [], guarded: true, rules: { shared: true } },
};

const OPTIONS: Readonly<Record<string, CacheResponseOptions>> = {
  plain: {},
  kept: { clientMaxAge: '30s', varyHeaders: [...WAYS] },
  silent: { clientMaxAge: false },
  forced: { clientRefresh: true },
  query: { query: { ignore: ['utm_*'] } },
  only: { query: { only: [] } },
  hosts: { hosts: false },
  keyed: { key: 'fixed', showKey: true },
  missing: { statuses: { 404: '1m' } },
  short: { ttl: '1s', tags: ['a:{query.q}'] },
};

/** A route for each requester with each of the options. */
@Controller()
class Routes {}
for (const [requester, { ways, guarded, rules }] of Object.entries(REQUESTERS)) {
  for (const [name, options] of Object.entries(OPTIONS)) {
    const method = `${requester}_${name}`;
    const handler = (request: Incoming): object => ({ for: ways.map((way) => READ[way](request) ?? null) });
    const descriptor = { value: handler, configurable: true, writable: true };
    Object.defineProperty(Routes.prototype, method, descriptor);
    const headers = [...(rules.varyHeaders ?? []), ...(options.varyHeaders ?? [])];
    Req()(Routes.prototype, method, 0);
    Get(`${requester}/${name}`)(Routes.prototype, method, descriptor);
    const given = { ...rules, ...options, ...(headers.length === 0 ? {} : { varyHeaders: headers }) };
    CacheResponse(given)(Routes.prototype, method, descriptor);
    if (guarded) UseGuards(LetIn)(Routes.prototype, method, descriptor);
  }
}

const name = fc.constantFrom(
  'a',
  'b',
  'a,b',
  '["a"]',
  '1',
  'true',
  'a=1; b=2',
  '#',
  'x'.repeat(70),
  `${'x'.repeat(69)}y`,
);
const user: fc.Arbitrary<Partial<Record<Way, string>>> = fc.record(
  { authorization: name, cookie: name, 'x-signed-in': name, 'x-api-key': name, 'x-region': name },
  { requiredKeys: [] },
);
const step = fc.record({
  by: fc.nat(1),
  method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD'),
  query: fc.constantFrom('?q=1', '?q=1', '?q=1&utm_x=1', '?q=1&utm_x=2'),
  isConditional: fc.boolean(),
  control: fc.constantFrom(undefined, undefined, 'no-cache', 'max-age=0', 'no-store'),
  isConcurrent: fc.boolean(),
});

describe.each(PLATFORMS)('two users on %s', (platform) => {
  let app: HttpApp;
  /** Which bodies each tag was sent with. */
  const bodies = new Map<string, string>();

  beforeAll(async () => {
    const signIn = (request: Incoming, _: unknown, next: () => void): void => {
      const signedIn = request.headers['x-signed-in'];
      if (signedIn !== undefined) request.user = signedIn;
      next();
    };
    const prepare = (nest: INestApplication): void => {
      if (platform === 'express') nest.use(signIn);
      else
        nest
          .getHttpAdapter()
          .getInstance()
          .addHook('preHandler', (request: Incoming, reply: unknown, next: () => void) => signIn(request, reply, next));
    };
    app = await HttpApp.open(platform, { controllers: [Routes], prepare });
  });

  beforeEach(() => bodies.clear());
  afterAll(() => app.close());

  it(
    'never get an answer that was made for the other',
    async () => {
      const routes = Object.keys(REQUESTERS).flatMap((requester) =>
        Object.keys(OPTIONS).map((each) => `${requester}/${each}`),
      );
      let pairs = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.tuple(user, user),
          fc.constantFrom(...routes),
          fc.array(step, { minLength: 4, maxLength: 12 }),
          async (users, route, steps) => {
            await app.cache.clearAll();
            const { ways } = REQUESTERS[route.split('/')[0] ?? ''] ?? { ways: [] };
            const held = new Set<string>();
            const pending: Promise<void>[] = [];
            for (const each of steps) {
              const headers = {
                ...users[each.by],
                ...(each.control === undefined ? {} : { 'cache-control': each.control }),
              };
              const conditional = each.isConditional && held.size > 0 ? { 'if-none-match': [...held].join(', ') } : {};
              const asked = app
                .ask(`/${route}${each.query}`, { method: each.method, headers: { ...headers, ...conditional } })
                .then((answer) =>
                  check(answer, JSON.stringify({ for: ways.map((way) => headers[way] ?? null) }), each.method, held),
                );
              pending.push(asked);
              if (!each.isConcurrent) await Promise.all(pending);
            }
            await Promise.all(pending);
            pairs += (steps.length * (steps.length - 1)) / 2;
          },
        ),
        { numRuns: RUNS },
      );
      expect(pairs).toBeGreaterThan(RUNS * 6);
      expect(app.cache.getMetrics().l1.hits).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  function check({ status, body, headers }: Answer, expected: string, method: string, held: Set<string>): void {
    const { etag } = headers;
    if (status === 304) {
      expect(bodies.get(String(etag))).toBe(expected);
      return;
    }
    expect(status).toBe(200);
    if (method === 'GET') expect(body).toBe(expected);
    if (etag === undefined) return;
    expect(bodies.get(etag) ?? expected).toBe(expected);
    bodies.set(etag, expected);
    held.add(etag);
  }
});
