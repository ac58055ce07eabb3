import * as jest from '@jest/globals';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BROWSERS } from '../support/browser.js';
import { buildPage, CookieGuard, DashboardApp, DashboardBrowser, type DashboardTab } from '../support/dashboard.js';
import { describeWithProgram } from '../support/installed.js';

const PATH = '/lane-cache/dashboard';
const HOSTILE = '<img src=x onerror="globalThis.pwned=1">';
/** As long as a name may be. */
const LONG_LANE = `L${'o'.repeat(62)}g`;

const SCREENS = [
  ['the overview', '#/', 'Overview'],
  ['a lane', '#/lane/docs', 'Policy'],
  ['a lane with a long name', `#/lane/${LONG_LANE}`, 'Policy'],
  ['the entries', '#/entries', /^50 found/],
  ['an entry', '#/entry/standard?key=report%3A1', 'In the tiers'],
  ['the checkpoints', '#/checkpoints?workflow=import', 'import:1'],
  ['all checkpoints', '#/checkpoints', HOSTILE],
  ['the host', '#/host', 'Processes'],
  ['the instances', '#/instances', 'The app shares no server.'],
  ['an unknown screen', '#/nowhere', 'There is no such screen.'],
] as const;

const TURNED = 'abc\u{202E}fdp.exe\u0000\u001B[31m';

async function fill({ cache }: DashboardApp): Promise<void> {
  for (let n = 0; n < 120; n++) {
    for (const _ of ['computed', 'hit', 'hit']) {
      await cache.getOrSet(`report:${n}`, () => ({ report: n }), { tags: [n % 2 === 0 ? 'even' : 'odd'] });
    }
  }
  await cache.get('report:1');
  await cache.set('long key '.repeat(7_000), 1);
  await cache.set(HOSTILE, { html: HOSTILE }, { tags: [HOSTILE] });
  await cache.set(TURNED, 1);
  await cache.set('  ', 1);
  for (const n of [1, 2, 3]) {
    await cache.snapshots.cacheCheckpoint(`import:${n}`, { secret: `state ${n}` }, { workflow: 'import', step: n });
  }
  await cache.snapshots.cacheCheckpoint('hostile', 1, { workflow: HOSTILE, step: HOSTILE });
  await cache.flush();
}

describeWithProgram(jest, BROWSERS, 'the dashboard in a browser', (program) => {
  let browser: DashboardBrowser;
  let app: DashboardApp;
  let tab: DashboardTab;

  beforeAll(async () => {
    buildPage();
    browser = await DashboardBrowser.open(program);
    app = await DashboardApp.open({
      dashboard: { guards: [CookieGuard], peek: true },
      lanes: { docs: { description: HOSTILE, useCases: [TURNED] }, [LONG_LANE]: { extends: 'docs' } },
    });
    await fill(app);
    tab = await browser.tab(`${app.url}${PATH}`);
  });
  afterAll(async () => {
    await browser.close();
    await app.close();
  });

  describe.each(['light', 'dark'] as const)('in %s', (scheme) => {
    let own: DashboardTab;
    beforeAll(async () => {
      own = await browser.tab(`${app.url}${PATH}/`, { scheme, width: scheme === 'light' ? 1280 : 390 });
    });
    afterAll(() => own.close());

    it.each(SCREENS)('%s keeps the policy and the rules of accessibility', async (_, hash, text) => {
      await own.go(hash);
      await own.sees(text);
      expect(await own.violations()).toEqual([]);
      expect(browser.problems).toEqual([]);
    });

    it('no screen is wider than the window', async () => {
      for (const [, hash, text] of SCREENS) {
        await own.go(hash);
        await own.sees(text);
        const excess = await own.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect([hash, Math.max(0, excess)]).toEqual([hash, 0]);
      }
    });
  });

  it('the overview shows what the metrics say, and follows them', async () => {
    await tab.go('#/');
    await tab.sees('Nothing is wrong.');
    const card = tab.page.getByRole('article', { name: 'Lane standard' });
    const rate = (): string => `${app.cache.getMetrics().hitRate.toFixed(1)} %`;
    await card.getByText(rate()).waitFor();
    for (let n = 0; n < 400; n++) await app.cache.get('report:1');
    await card.getByText(rate()).waitFor();
  });

  it('entries are found by pattern, tag and tier, page by page', async () => {
    await tab.go('#/entries');
    await tab.fill('Key', 'report:*');
    await tab.press('Search');
    await tab.sees(/^50 found/);
    await tab.press('More');
    await tab.sees(/^100 found/);
    await tab.press('More');
    await tab.sees(/^120 found, .* That is all\.$/);
    await tab.fill('Tag', 'odd');
    await tab.page.getByLabel('Tier').selectOption('l1');
    await tab.press('Search');
    await tab.press('More');
    await tab.sees(/^60 found/);
    await tab.fill('Key', 'nothing like it');
    await tab.press('Search');
    await tab.sees('No entries.');
  });

  it('an entry is explained, and its value is shown when it is asked for', async () => {
    await tab.go('#/entry/standard?key=report%3A1');
    await tab.sees('The next call is answered from the cache');
    expect(await tab.text()).not.toContain('"report": 1');
    await tab.press('Show the value');
    await tab.sees(/"report": 1/);
  });

  it('a key, a tag and a pattern are invalidated after a look at what would go', async () => {
    await tab.go('#/entry/standard?key=report%3A1');
    await tab.press('Invalidate');
    await tab.sees('1 entry');
    await tab.confirm('Invalidate');
    await tab.sees('The next call computes it');
    expect(await app.cache.has('report:1')).toBe(false);

    await tab.go('#/entries?tag=odd');
    await tab.press('Invalidate this tag');
    await tab.sees('59 entries');
    await tab.confirm('Invalidate');
    await tab.sees('No entries.');
    expect([await app.cache.has('report:3'), await app.cache.has('report:2')]).toEqual([false, true]);

    await tab.go('#/entries?pattern=report%3A11*&lane=standard');
    await tab.press('Invalidate what matches');
    await tab.sees('5 entries');
    await tab.confirm('Invalidate');
    await tab.sees('No entries.');
    expect([await app.cache.has('report:110'), await app.cache.has('report:20')]).toEqual([false, true]);
  });

  it('Escape closes a question, and nothing is done', async () => {
    await tab.go('#/entry/standard?key=report%3A2');
    await tab.sees('In the tiers');
    await tab.press('Invalidate');
    await tab.page.getByRole('dialog').waitFor();
    await tab.page.keyboard.press('Escape');
    await tab.page.getByRole('dialog').waitFor({ state: 'detached' });
    expect(await app.cache.has('report:2')).toBe(true);
  });

  it('checkpoints are pinned, forked, finished, cleaned up and removed', async () => {
    const { snapshots } = app.cache;
    await tab.go('#/checkpoints?workflow=import');
    await tab.press('Pin import:1 version 1');
    await tab.press('Unpin import:1 version 1');
    await tab.press('Pin import:1 version 1');
    await tab.page.getByRole('button', { name: 'Unpin import:1 version 1' }).waitFor();
    expect((await snapshots.history('import:1'))[0]?.pinned).toBe(true);

    await tab.press('Fork import:2 version 1');
    await tab.fill('The new id', 'copy of 2');
    await tab.confirm('Fork');
    await tab.sees(/begins with this state/);
    expect(await snapshots.restoreCheckpoint('copy of 2')).toEqual({ secret: 'state 2' });

    await tab.press('Remove import:3 version 1');
    await tab.confirm('Remove');
    await tab.sees('1 version removed.');
    expect(await snapshots.restoreCheckpoint('import:3')).toBeUndefined();

    await tab.go('#/checkpoints?workflow=import&id=import%3A2');
    await tab.press('Show the newest state');
    await tab.sees(/"secret": "state 2"/);

    await tab.press('Clean up…');
    await tab.sees(/Nothing is due/);
    await tab.page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    await tab.press('Mark as done');
    await tab.confirm('Mark as done');
    await tab.sees(/The workflow is done/);
    await tab.press('Start over');
    await tab.confirm('Start over');
    await tab.sees(/The workflow starts anew/);
    expect(await snapshots.history({ workflow: 'import' })).toEqual([]);
  });

  it('hostile keys, tags and descriptions are shown as text', async () => {
    for (const hash of ['#/entries', '#/lane/docs', `#/entry/standard?${new URLSearchParams({ key: HOSTILE })}`]) {
      await tab.go(hash);
      await tab.sees(HOSTILE);
    }
    await tab.press('Show the value');
    await tab.sees(/onerror=/);
    await tab.go('#/entries');
    await tab.sees(/abc\\u\{202e\}fdp\.exe\\u\{0\}\\u\{1b\}\[31m/);
    await tab.sees(/^long key long key .*….*long key\\u\{20\}$/);
    await tab.sees('\\u{20}\\u{20}');
    const long = new URLSearchParams({ key: 'long key '.repeat(7_000) });
    await tab.go(`#/entry/standard?${long}`);
    await tab.sees('In the tiers');
    expect(await tab.page.evaluate('globalThis.pwned')).toBeUndefined();
    expect(browser.problems).toEqual([]);
  });

  it('times are in the zone of the reader', async () => {
    await tab.go('#/');
    const since = new Date(app.cache.getMetrics().since);
    const inTokyo = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium', timeZone: 'Asia/Tokyo' }).format(since);
    await tab.sees(new RegExp(inTokyo));
  });

  it('the page works by keyboard alone', async () => {
    await tab.go('#/');
    await tab.page.reload();
    await tab.sees('Overview');
    await tab.page.keyboard.press('Tab');
    expect(await tab.page.evaluate(() => document.activeElement?.textContent)).toContain('Skip to the content');
    await tab.page.keyboard.press('Enter');
    expect(await tab.page.evaluate(() => document.activeElement?.id)).toBe('main');
    await tab.page.getByRole('link', { name: 'Entries', exact: true }).press('Enter');
    await tab.page.getByRole('heading', { name: 'Entries', level: 1 }).waitFor();
    expect(await tab.page.evaluate(() => document.activeElement?.id)).toBe('main');
  });

  it('a lane is cleared after a question', async () => {
    await tab.go('#/lane/standard');
    await tab.press('Clear lane');
    await tab.confirm('Clear');
    await tab.sees('The lane was cleared.');
    expect(await app.cache.has('report:2')).toBe(false);
  });

  it('who has no cookie gets nothing', async () => {
    const answer = await fetch(`${app.url}${PATH}/`);
    expect(answer.status).toBe(403);
  });

  describe('for everyone, without guards', () => {
    let open: DashboardApp;
    beforeAll(async () => {
      open = await DashboardApp.open(
        { dashboard: true, lanes: { docs: { description: 'pages' } } },
        { platform: 'fastify', prefix: 'api' },
      );
      await open.cache.set('secret-key', 1, { tags: ['secret-tag'] });
      await open.cache.snapshots.cacheCheckpoint('secret-id', {}, { workflow: 'secret-flow' });
    });
    afterAll(() => open.close());

    it('the page shows numbers, and no key, tag or id', async () => {
      const visitor = await browser.tab(`${open.url}/api${PATH}`, { isOperator: false });
      for (const [hash, text] of [
        ['#/', 'Nothing is wrong.'],
        ['#/lane/standard', 'Policy'],
        ['#/entries', 'Keys are shown behind guards only.'],
        ['#/entry/standard?key=secret-key', 'Keys are shown behind guards only.'],
        ['#/checkpoints', '1 checkpoint in 1 version'],
        ['#/host', 'Processes'],
      ] as const) {
        await visitor.go(hash);
        await visitor.sees(new RegExp(text.replace('.', '\\.')));
        expect(await visitor.text()).not.toMatch(/secret-/);
      }
      expect(await visitor.violations()).toEqual([]);
      await visitor.close();
    });

    it('the page works behind a proxy that has it at another path', async () => {
      const proxy = createServer((incoming, outgoing) => {
        const path = incoming.url?.replace('/tools/cache', `/api${PATH}`);
        const { headers, method } = incoming;
        const asked = request({ host: '127.0.0.1', port: open.port, path, method, headers }, (answer) => {
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(outgoing);
        });
        asked.on('error', () => outgoing.destroy());
        incoming.pipe(asked);
      }).listen(0, '127.0.0.1');
      await new Promise((resolve) => proxy.once('listening', resolve));
      const { port } = proxy.address() as AddressInfo;
      const visitor = await browser.tab(`http://127.0.0.1:${port}/tools/cache/`, { isOperator: false });
      await visitor.sees('Nothing is wrong.');
      await visitor.page.getByText('Live', { exact: true }).waitFor();
      await visitor.close();
      proxy.closeAllConnections();
      proxy.close();
    });
  });

  it('an open page finds an app again that was restarted', async () => {
    const first = await DashboardApp.open({ dashboard: true });
    await first.cache.getOrSet('a', () => 1);
    const visitor = await browser.tab(`${first.url}${PATH}`, { isOperator: false });
    const state = (text: string) => visitor.page.getByRole('status').getByText(text, { exact: true }).waitFor();
    await state('Live');
    await visitor.sees(/^1 request in/);
    await first.close();
    await state('Reconnecting…');
    const second = await DashboardApp.open({ dashboard: true }, { port: first.port });
    try {
      for (let n = 0; n < 7; n++) await second.cache.getOrSet(`b:${n}`, () => 1);
      await state('Live');
      await visitor.sees(/^7 requests in/);
      expect(browser.problems).toEqual([]);
    } finally {
      await visitor.close();
      await second.close();
    }
  });
});
