import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { VersioningType } from '@nestjs/common';
import { OPERATION_ROUTES } from '../../lib/http/operation-routes.js';
import { PLATFORMS } from '../support/http-app.js';
import { COOKIE, JSON_TYPE, OperationsApp, Operators, SAME_ORIGIN } from '../support/operations-app.js';

const AT = 'lane-cache';
const named = OPERATION_ROUTES.map((route) => [`${route.method} ${route.path}`, route] as const);
const open = named.filter(([, { needs }]) => needs === 'open');
const guarded = named.filter(([, { needs }]) => needs === 'guarded');
const peeking = named.filter(([, { needs }]) => needs === 'peek');
const actions = guarded.filter(([, { method }]) => method === 'POST');

/** The first event of a stream. */
async function firstEvent(response: Response): Promise<string> {
  let text = '';
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  while (reader !== undefined && !/data: .*\n\n/.test(text)) {
    const { value, done } = await reader.read();
    if (done) break;
    text += value;
  }
  await reader?.cancel();
  return text;
}

describe.each(PLATFORMS)('the endpoints on %s', (platform) => {
  describe('without guards', () => {
    let app: OperationsApp;
    beforeAll(async () => {
      app = await OperationsApp.open(platform, { metrics: { controller: true } });
    });
    afterAll(() => app.close());

    it.each(open)('%s answers without a key, a tag, a path or an id', async (_, route) => {
      const answer = await app.call(AT, route);
      const text = await answer.text();
      expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-store']);
      expect(text).not.toMatch(/secret/);
      expect(text).not.toContain(app.directory);
      expect(text).not.toContain(`"pid"`);
    });

    it.each([...guarded, ...peeking])('%s does not exist', async (_, route) => {
      expect((await app.call(AT, route, COOKIE)).status).toBe(404);
    });

    it('findings have codes, and neither evidence nor advice', async () => {
      for (let n = 0; n < 40; n++)
        await app.cache.getOrSet(`f:${n}`, () => Promise.reject(new Error('no'))).catch(() => 0);
      const { findings } = await (await app.ask(`${AT}/doctor`)).json();
      expect(findings).toContainEqual({ lane: 'standard', code: 'COMPUTE_FAILING', severity: 'error' });
      for (const finding of findings)
        expect(Object.keys(finding).toSorted()).toEqual(expect.not.arrayContaining(['evidence']));
    });

    it('the stream of events carries numbers only', async () => {
      const stream = await app.ask(`${AT}/events`);
      expect(stream.headers.get('content-type')).toMatch(/^text\/event-stream/);
      expect(stream.headers.get('cache-control')).toBe('no-store, no-transform');
      const text = await firstEvent(stream);
      const numbers = JSON.parse(/data: (.*)/.exec(text)?.[1] ?? '');
      expect(numbers.lanes.standard).toMatchObject({ requests: expect.any(Number), l1: { hits: 1 } });
      expect(numbers.checkpoints).toMatchObject({ versions: 1 });
      expect(text).not.toMatch(/secret/);
    });
  });

  describe('behind guards', () => {
    let app: OperationsApp;
    beforeAll(async () => {
      app = await OperationsApp.open(platform, { metrics: { controller: { guards: [Operators] } } }, (nest) => {
        nest.setGlobalPrefix('api');
        nest.enableVersioning({ type: VersioningType.URI });
      });
    });
    afterAll(() => app.close());
    const at = `api/${AT}`;

    it.each([...open, ...guarded])('%s is for those whom the guards let in', async (_, route) => {
      expect((await app.call(at, route)).status).toBe(403);
      expect((await app.call(at, route, COOKIE)).status).toBe(200);
    });

    it.each(peeking)('%s does not exist, for it shows values', async (_, route) => {
      expect((await app.call(at, route, COOKIE)).status).toBe(404);
    });

    it.each(actions)('%s takes JSON only, and nothing from a page of another origin', async (_, route) => {
      const form = { ...COOKIE, 'content-type': 'text/plain' };
      expect((await app.post(`${at}/${route.path}`, {}, form)).status).toBe(415);
      for (const site of ['cross-site', 'same-site']) {
        expect((await app.call(at, route, { ...COOKIE, 'sec-fetch-site': site })).status).toBe(403);
      }
      expect((await app.call(at, route, { ...COOKIE, 'sec-fetch-site': 'same-origin' })).status).toBe(200);
    });

    it('the stream of events is for those whom the guards let in', async () => {
      expect((await app.ask(`${at}/events`)).status).toBe(403);
      expect(await firstEvent(await app.ask(`${at}/events`, COOKIE))).toContain('"lanes"');
    });

    it('keys are searched by pattern, tag and tier, page by page', async () => {
      for (let n = 0; n < 5; n++) await app.cache.set(`page:${n}`, n, { tags: [n % 2 === 0 ? 'even' : 'odd'] });
      const find = async (query: string) => (await app.ask(`${at}/keys?${query}`, COOKIE)).json();
      const keysOf = ({ items }: { readonly items: readonly { readonly key: string }[] }) =>
        items.map(({ key }) => key).toSorted();
      expect(keysOf(await find('pattern=page:*&tag=even'))).toEqual(['page:0', 'page:2', 'page:4']);
      const all: string[] = [];
      let after = '';
      do {
        const page = await find(`pattern=page:*&tier=l1&limit=2${after}`);
        all.push(...keysOf(page));
        after = page.next === undefined ? '' : `&after=${page.next}`;
      } while (after !== '');
      expect(all.toSorted()).toEqual(['page:0', 'page:1', 'page:2', 'page:3', 'page:4']);
      expect(await find('limit=0')).toMatchObject({ code: 'OPTIONS_INVALID' });
      expect(await find('after=nonsense')).toMatchObject({ code: 'OPTIONS_INVALID' });
      expect(await find('tier=l4')).toMatchObject({ code: 'OPTIONS_INVALID' });
      expect(await find('patern=x')).toMatchObject({ code: 'OPTIONS_INVALID' });
    });

    it('a preview counts what an invalidation then removes', async () => {
      await app.cache.set('gone:1', 1, { tags: ['group'] });
      await app.cache.set('gone:2', 2, { tags: ['group'] });
      await app.cache.flush();
      const body = { pattern: 'gone:*' };
      const headers = { ...COOKIE, ...JSON_TYPE };
      const preview = await (await app.post(`${at}/preview`, body, headers)).json();
      expect(preview).toMatchObject({ matches: 2, isComplete: true });
      expect(preview.keys.toSorted()).toEqual(['gone:1', 'gone:2']);
      expect(await (await app.post(`${at}/preview`, { tags: ['group'] }, headers)).json()).toMatchObject({
        matches: 2,
      });
      expect(await app.cache.has('gone:1')).toBe(true);
      expect(await (await app.post(`${at}/invalidate`, body, headers)).json()).toMatchObject({ removed: 2 });
      expect(await (await app.post(`${at}/preview`, body, headers)).json()).toMatchObject({ matches: 0, keys: [] });
    });

    it('the entries of a lane are ranked by the time they saved, their size and their uses', async () => {
      await app.cache.forLane('docs').set('large', 'x'.repeat(50_000));
      await app.cache.forLane('docs').set('used', 1);
      for (let n = 0; n < 5; n++) await app.cache.forLane('docs').get('used');
      const first = async (by: string) =>
        (await (await app.ask(`${at}/top?lane=docs&by=${by}`, COOKIE)).json()).items[0];
      expect(await first('size')).toMatchObject({ key: 'large' });
      expect(await first('uses')).toMatchObject({ key: 'used', accessCount: 5 });
    });
  });

  describe('of the dashboard', () => {
    const at = `${AT}/dashboard/api`;
    const own = ['access', 'trend', 'events'];
    const outcomes = async (app: OperationsApp, headers: Record<string, string>): Promise<Record<string, number>> => {
      const found: Record<string, number> = {};
      for (const [name, route] of named) found[name] = (await app.call(at, route, headers)).status;
      for (const path of own) {
        const answer = await app.ask(`${at}/${path}`, headers);
        found[`GET ${path}`] = answer.status;
        await answer.body?.cancel();
      }
      return found;
    };
    const expected = (statusOf: (needs: string, method: string) => number): Record<string, number> =>
      Object.fromEntries([
        ...named.map(([name, { needs, method }]) => [name, statusOf(needs, method)]),
        ...own.map((path) => [`GET ${path}`, statusOf('open', 'GET')]),
      ]);

    it.each([
      ['without guards', true, (needs: string) => (needs === 'open' ? 200 : 404)],
      ['behind guards', { guards: [Operators] }, (needs: string) => (needs === 'peek' ? 404 : 200)],
      ['behind guards, with peek', { guards: [Operators], peek: true }, () => 200],
    ])('%s, every endpoint answers those whom it is for', async (_, dashboard, statusOf) => {
      const app = await OperationsApp.open(platform, { dashboard });
      try {
        const ofPage = { ...COOKIE, ...SAME_ORIGIN };
        const ok = expected(statusOf);
        const found = await outcomes(app, ofPage);
        expect(found).toEqual(ok);
        if (dashboard === true) return;
        expect(await outcomes(app, SAME_ORIGIN)).toEqual(
          expected((needs, method) => (statusOf(needs) === 404 ? 404 : method === '' ? 0 : 403)),
        );
        for (const [, route] of actions) expect((await app.call(at, route, COOKIE)).status).toBe(403);
      } finally {
        await app.close();
      }
    });

    it('values without guards are refused at boot', async () => {
      const opened = OperationsApp.open(platform, { dashboard: { peek: true } });
      await expect(opened).rejects.toMatchObject({ code: 'OPTIONS_INVALID', field: 'dashboard.peek' });
    });

    it('streams end before the server closes', async () => {
      const app = await OperationsApp.open(platform, { dashboard: true });
      const stream = await app.ask(`${at}/events`);
      const reader = stream.body?.getReader();
      await reader?.read();
      await app.close();
      let isDone = false;
      while (!isDone) isDone = (await reader?.read())?.done ?? true;
      expect(isDone).toBe(true);
    });
  });
});
