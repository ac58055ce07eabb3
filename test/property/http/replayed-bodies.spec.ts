import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Get, Header, HttpCode, Param } from '@nestjs/common';
import * as fc from 'fast-check';
import { CacheResponse } from '../../../lib/index.js';
import { roundsOf } from '../../support/fault-table.js';
import { HttpApp, PLATFORMS, type Answer } from '../../support/http-app.js';

const RUNS = roundsOf(60, 2_000);
/** What the handlers return, by the id in the path. */
const bodies = new Map<string, unknown>();
let computed = 0;

const bodyOf = (id: string): unknown => {
  computed++;
  return bodies.get(id);
};

/** Fastify sends objects as JSON only. */
const textOf = (id: string): string => {
  const value = bodyOf(id);
  return typeof value === 'string' ? value : JSON.stringify(value);
};

/** Each kind of route twice: as Nest alone answers it, and cached. */
@Controller()
class Routes {
  @Get('plain/:id')
  plain(@Param('id') id: string): unknown {
    return bodyOf(id);
  }

  @Get('cached/plain/:id')
  @CacheResponse()
  plainCached(@Param('id') id: string): unknown {
    return bodyOf(id);
  }

  @Get('typed/:id')
  @Header('Content-Type', 'text/html; charset=utf-8')
  @Header('Content-Language', 'de')
  typed(@Param('id') id: string): unknown {
    return textOf(id);
  }

  @Get('cached/typed/:id')
  @CacheResponse()
  @Header('Content-Type', 'text/html; charset=utf-8')
  @Header('Content-Language', 'de')
  typedCached(@Param('id') id: string): unknown {
    return textOf(id);
  }

  @Get('created/:id')
  @HttpCode(203)
  @Header('X-Part', 'a, b')
  created(@Param('id') id: string): unknown {
    return bodyOf(id);
  }

  @Get('cached/created/:id')
  @CacheResponse({ statuses: [203] })
  @HttpCode(203)
  @Header('X-Part', 'a, b')
  createdCached(@Param('id') id: string): unknown {
    return bodyOf(id);
  }
}

/** What the cache adds for clients, and what each answer has of its own. */
const OWN = ['age', 'cache-control', 'cache-status', 'date', 'etag', 'vary', 'x-cache'];

function sent({ status, headers, body }: Answer): object {
  return {
    status,
    body,
    headers: Object.entries(headers)
      .filter(([name]) => !OWN.includes(name))
      .sort(),
  };
}

const text = fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.constantFrom('', '<p>ü</p>', '0', 'null'));
const body = fc.oneof(
  fc.dictionary(fc.string({ minLength: 1, maxLength: 5 }), fc.jsonValue()),
  fc.array(fc.jsonValue(), { maxLength: 5 }),
  text,
  fc.date({ noInvalidDate: true }).map((at) => ({ at })),
  fc.constant({}),
);

describe.each(PLATFORMS)('a cached answer on %s', (platform) => {
  let app: HttpApp;
  let next = 0;
  beforeAll(async () => {
    app = await HttpApp.open(platform, { controllers: [Routes] });
  });
  afterAll(() => app.close());

  const asked = (path: string, headers = {}): Promise<Answer> => app.ask(path, { headers });

  it('has the status, headers and bytes that Nest alone would send, computed and replayed', async () => {
    await fc.assert(
      fc.asyncProperty(body, fc.constantFrom('plain', 'typed', 'created'), async (value, route) => {
        const id = `same-${next++}`;
        bodies.set(id, value);
        const alone = await asked(`/${route}/${id}`);
        const before = computed;
        const first = await asked(`/cached/${route}/${id}`);
        const again = await asked(`/cached/${route}/${id}`);
        expect(computed - before).toBe(1);
        expect(sent(first)).toEqual(sent(alone));
        expect(sent(again)).toEqual(sent(alone));
        expect(again.headers.etag).toBe(first.headers.etag);
        bodies.delete(id);
      }),
      { numRuns: RUNS },
    );
  });

  it('is 304 to a client that has the same bytes, and to no other', async () => {
    await fc.assert(
      fc.asyncProperty(body, body, async (held, now) => {
        const id = `held-${next++}`;
        bodies.set(id, held);
        const { headers, body: bytes } = await asked(`/cached/plain/${id}`);
        const given = { 'If-None-Match': String(headers.etag) };
        expect(await asked(`/cached/plain/${id}`, given)).toMatchObject({ status: 304, body: '' });
        bodies.set(id, now);
        await app.cache.clearAll();
        const fresh = await asked(`/cached/plain/${id}`);
        const conditional = await asked(`/cached/plain/${id}`, given);
        expect(conditional.status).toBe(fresh.body === bytes ? 304 : 200);
        bodies.delete(id);
      }),
      { numRuns: RUNS },
    );
  });
});
