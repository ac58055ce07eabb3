import * as jest from '@jest/globals';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Header, Param, Req, Res } from '@nestjs/common';
import { CacheResponse } from '../../lib/index.js';
import { BROWSERS, launch, Tab } from '../support/browser.js';
import { HttpApp, PLATFORMS } from '../support/http-app.js';
import { describeWithProgram } from '../support/installed.js';

interface Incoming {
  readonly headers: Readonly<Record<string, string | undefined>>;
}

interface Outgoing {
  header(name: string, value: string): unknown;
}

let calls = 0;
const userOf = ({ headers }: Incoming): string => /user=(\w+)/.exec(headers['cookie'] ?? '')?.[1] ?? 'nobody';
const page = (request: Incoming): string => `<body>${userOf(request)} ${++calls}</body>`;
const HTML = ['Content-Type', 'text/html; charset=utf-8'] as const;

@Controller()
class Pages {
  @Get('login/:user')
  @Header(...HTML)
  login(@Param('user') user: string, @Res({ passthrough: true }) response: Outgoing): string {
    response.header('Set-Cookie', `user=${user}; Path=/`);
    return `<body>logged in</body>`;
  }

  @Get('logout')
  @Header(...HTML)
  logout(@Res({ passthrough: true }) response: Outgoing): string {
    response.header('Set-Cookie', 'user=; Path=/; Max-Age=0');
    return `<body>logged out</body>`;
  }

  @Get('home')
  @Header(...HTML)
  @CacheResponse({ varyBy: userOf, tags: ['pages'], ttl: '1h' })
  home(@Req() request: Incoming): string {
    return page(request);
  }

  /** Past the cache for whom a cookie makes personal. */
  @Get('unnamed')
  @Header(...HTML)
  @CacheResponse({ tags: ['pages'], ttl: '1h' })
  unnamed(@Req() request: Incoming): string {
    return page(request);
  }

  @Get('news')
  @Header(...HTML)
  @CacheResponse({ shared: true, tags: ['pages'], ttl: '1h' })
  news(): string {
    return `<body>news ${++calls}</body>`;
  }

  @Get('kept')
  @Header(...HTML)
  @CacheResponse({ varyBy: userOf, varyHeaders: ['Cookie'], clientMaxAge: '10m', tags: ['pages'], ttl: '1h' })
  kept(@Req() request: Incoming): string {
    return page(request);
  }
}

describeWithProgram(jest, BROWSERS, 'in a browser', (program) => {
  describe.each(PLATFORMS)('the pages of an app on %s', (platform) => {
    let browser: Awaited<ReturnType<typeof launch>>;
    let app: HttpApp;
    let tab: Tab;

    beforeAll(async () => {
      browser = await launch(program);
    });
    afterAll(() => browser.close());

    beforeEach(async () => {
      calls = 0;
      app = await HttpApp.open(platform, { controllers: [Pages] });
      tab = await Tab.open(browser, app.url);
    });

    afterEach(async () => {
      await tab.close();
      await app.close();
    });

    it.each(['home', 'unnamed', 'kept'])('are those of the user who is logged in: /%s', async (path) => {
      const shown: string[] = [await tab.visit(`/${path}`)];
      for (const user of ['ann', 'bob', 'ann']) {
        await tab.visit(`/login/${user}`);
        shown.push(await tab.visit(`/${path}`), await tab.reload());
        await tab.visit('/logout');
        shown.push(await tab.visit(`/${path}`));
      }
      expect(shown.map((text) => text.split(' ')[0])).toEqual([
        'nobody',
        ...['ann', 'ann', 'nobody', 'bob', 'bob', 'nobody', 'ann', 'ann', 'nobody'],
      ]);
    });

    it('are made once for each user, whatever the browser asks again', async () => {
      await tab.visit('/login/ann');
      const shown = [
        await tab.visit('/home'),
        await tab.reload(),
        await tab.fetch('/home'),
        await tab.fetch('/home', 'reload'),
      ];
      expect(shown.map((text) => text.replaceAll(/<.?body>/g, ''))).toEqual(shown.map(() => 'ann 1'));
    });

    it('are those of the user who is logged in, after the back button too', async () => {
      await tab.visit('/login/ann');
      expect(await tab.visit('/home')).toBe('ann 1');
      await tab.visit('/logout');
      await tab.visit('/login/bob');
      expect(await tab.back(2)).toBe('bob 2');
    });

    it('are new at the next request after an invalidation', async () => {
      for (const path of ['/news', '/home']) {
        const before = await tab.visit(path);
        expect(await tab.visit(path)).toBe(before);
        await app.cache.invalidateByTag('pages');
        expect(await tab.visit(path)).not.toBe(before);
      }
      expect(await tab.visit('/home')).toBe('nobody 4');
      await app.cache.invalidateByTag('pages');
      expect(await tab.reload()).toBe('nobody 5');
    });

    it('are kept for clientMaxAge, and longer than an invalidation, until they are reloaded', async () => {
      await tab.visit('/login/ann');
      expect(await tab.visit('/kept')).toBe('ann 1');
      await app.cache.invalidateByTag('pages');
      await tab.visit('/news');
      expect(await tab.visit('/kept')).toBe('ann 1');
      expect(await tab.reload()).toBe('ann 3');
    });

    it('that the browser itself keeps for the back button are shown as they were left', async () => {
      const keeping = await launch(program, { keepsPages: true });
      const kept = await Tab.open(keeping, app.url);
      await kept.visit('/login/ann');
      await kept.visit('/home');
      await kept.visit('/login/bob');
      // Nothing is asked of the server: only the header no-store could make the browser ask.
      expect(['ann 1', 'bob 2']).toContain(await kept.back());
      expect(await kept.reload()).toBe('bob 2');
      await keeping.close();
    });
  });
});
