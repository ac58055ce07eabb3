import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CallHandler, ExecutionContext, INestApplication, NestInterceptor } from '@nestjs/common';
import { map, type Observable } from 'rxjs';
import { buildPage } from '../support/dashboard.js';
import { PLATFORMS } from '../support/http-app.js';
import { OperationsApp } from '../support/operations-app.js';

/** As many apps have it. */
class Wrapped implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map((data: unknown) => ({ data })));
  }
}

const AT = 'lane-cache/dashboard';

describe.each(PLATFORMS)('the dashboard in an app on %s', (platform) => {
  let app: OperationsApp;
  beforeAll(async () => {
    buildPage();
    const wrap = (nest: INestApplication): void => void nest.useGlobalInterceptors(new Wrapped());
    app = await OperationsApp.open(platform, { dashboard: true }, wrap);
  });
  afterAll(() => app.close());

  it('an interceptor that wraps answers leaves those of the dashboard alone', async () => {
    expect(await (await app.ask(`${AT}/api/access`)).json()).toEqual({ role: 'open' });
    expect(await (await app.ask(`${AT}/api/metrics`)).json()).toMatchObject({ lanes: { standard: {} } });
  });

  it('errors are answered with their status and code', async () => {
    const answer = await app.ask(`${AT}/api/metrics?lane=marble`);
    expect([answer.status, (await answer.json()).code]).toEqual([404, 'LANE_UNKNOWN']);
  });

  it('the page and its files carry a strict policy, and links that are relative', async () => {
    const redirect = await app.ask(AT);
    expect([redirect.status, redirect.headers.get('location')]).toEqual([
      302,
      platform === 'express' ? 'dashboard/' : 'dashboard/index.html',
    ]);
    const page = await app.ask(`${AT}/index.html`);
    expect(page.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; script-src 'self'; style-src 'self'/,
    );
    expect(page.headers.get('cache-control')).toBe('private, no-cache');
    const html = await page.text();
    const links = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link = '']) => link);
    expect(links.length).toBeGreaterThan(2);
    for (const link of links) {
      expect(link).toMatch(/^\.\/[\w.-]+$/);
      const file = await app.ask(`${AT}/${link.slice(2)}`);
      expect([file.status, file.headers.get('cache-control')]).toEqual([200, 'private, max-age=31536000, immutable']);
    }
    expect(html).not.toMatch(/<script(?![^>]*src=)|<style|\son\w+=|https?:/);
  });

  it('no name in a URL is a path', async () => {
    for (const name of ['..%2f..%2fpackage.json', '%2e%2e/package.json', 'package.json', 'constructor', '__proto__']) {
      const answer = await app.ask(`${AT}/${name}`);
      expect([name, answer.status]).toEqual([name, 404]);
    }
  });

  it('the page is sent as it is to a client that cannot unpack it', async () => {
    const plain = await app.ask(`${AT}/index.html`, { 'accept-encoding': 'identity' });
    expect([plain.headers.get('content-encoding'), plain.headers.get('vary')]).toEqual([null, 'accept-encoding']);
    expect(await plain.text()).toContain('<title>Lane cache</title>');
  });
});
