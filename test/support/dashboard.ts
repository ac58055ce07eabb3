import { Injectable, type CanActivate, type ExecutionContext, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { CacheManager, LaneCacheModule, type LaneCacheModuleOptions } from '../../lib/index.js';
import type { Platform } from './http-app.js';

const GENERATED = resolve('lib/dashboard/page.generated.cjs');
const AXE = readFileSync(createRequire(join(process.cwd(), 'package.json')).resolve('axe-core/axe.min.js'), 'utf8');

/** Builds the page, unless what was built is newer than its sources. */
export function buildPage(): void {
  const built = statSync(GENERATED, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = ['dashboard', 'lib/texts'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  );
  const newest = Math.max(...[...sources, 'scripts/build-page.mjs'].map((file) => statSync(file).mtimeMs));
  if (built > newest) return;
  const { status, stderr } = spawnSync(process.execPath, ['scripts/build-page.mjs'], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

/** Lets in who has the cookie `session=operator`. */
@Injectable()
export class CookieGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string | undefined> }>();
    return headers['cookie']?.includes('session=operator') === true;
  }
}

/** An app with the page, on a port that it keeps when it is opened again. */
export class DashboardApp {
  private constructor(
    readonly nest: INestApplication,
    readonly port: number,
    readonly directory: string,
  ) {}

  static async open(
    options: LaneCacheModuleOptions,
    { platform = 'express', port = 0, prefix = '' }: { platform?: Platform; port?: number; prefix?: string } = {},
  ): Promise<DashboardApp> {
    const directory = await mkdtemp(join(tmpdir(), 'lane-cache-page-'));
    const module = LaneCacheModule.forRoot({ directory, storage: { minFreeBytes: 0 }, logger: false, ...options });
    const quiet = { logger: false } as const;
    const nest =
      platform === 'express'
        ? await NestFactory.create(module, quiet)
        : await NestFactory.create(module, new FastifyAdapter(), quiet);
    if (prefix !== '') nest.setGlobalPrefix(prefix);
    await nest.listen(port, '127.0.0.1');
    return new DashboardApp(nest, Number(new URL(await nest.getUrl()).port), directory);
  }

  get cache(): CacheManager {
    return this.nest.get(CacheManager);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async close(): Promise<void> {
    await this.nest.close();
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A browser, and what goes wrong in its pages. */
export class DashboardBrowser {
  /** Scripts, styles and requests that the page's policy refused, and errors of its code. */
  readonly problems: string[] = [];

  private constructor(private readonly browser: Browser) {}

  static async open(program: string): Promise<DashboardBrowser> {
    return new DashboardBrowser(await chromium.launch({ executablePath: program, args: ['--no-sandbox'] }));
  }

  /** A tab at `url`, with the cookie of an operator if it is one. */
  async tab(
    url: string,
    {
      isOperator = true,
      scheme = 'light',
      width = 1280,
    }: { isOperator?: boolean; scheme?: 'light' | 'dark'; width?: number } = {},
  ): Promise<DashboardTab> {
    const context = await this.browser.newContext({
      viewport: { width, height: 900 },
      colorScheme: scheme,
      locale: 'en-GB',
      timezoneId: 'Asia/Tokyo',
    });
    if (isOperator) await context.addCookies([{ name: 'session', value: 'operator', url: new URL(url).origin }]);
    await context.addInitScript(
      `addEventListener('securitypolicyviolation', (e) => console.error('CSP ' + e.violatedDirective + ' ' + e.blockedURI));`,
    );
    const page = await context.newPage();
    page.setDefaultTimeout(8_000);
    page.on('pageerror', (error) => this.problems.push(String(error)));
    page.on('dialog', (dialog) => this.problems.push(`a dialog: ${dialog.message()}`));
    page.on('console', (message) => {
      // A restarted app is known by refused connections.
      if (message.type() === 'error' && !message.text().includes('Failed to load resource'))
        this.problems.push(message.text());
    });
    await page.goto(url);
    return new DashboardTab(page, context);
  }

  close(): Promise<void> {
    return this.browser.close();
  }
}

/** One tab, used by names as those who see it and those who hear it do. */
export class DashboardTab {
  constructor(
    readonly page: Page,
    private readonly context: BrowserContext,
  ) {}

  async go(hash: string): Promise<void> {
    await this.page.evaluate((to) => {
      location.hash = to;
    }, hash);
  }

  /** Waits until the main part shows the text. */
  async sees(text: string | RegExp): Promise<void> {
    await this.page.locator('#app').getByText(text).first().waitFor();
  }

  async press(name: string | RegExp): Promise<void> {
    await this.page
      .getByRole('button', { name, exact: typeof name === 'string' })
      .first()
      .click();
  }

  /** Presses the button of the open dialog, and waits until it is gone. */
  async confirm(name: string): Promise<void> {
    await this.page.getByRole('dialog').getByRole('button', { name, exact: true }).click();
    await this.page.getByRole('dialog').waitFor({ state: 'detached' });
  }

  async fill(label: string, text: string): Promise<void> {
    await this.page.getByLabel(label, { exact: true }).fill(text);
  }

  text(): Promise<string> {
    return this.page.locator('main').innerText();
  }

  /** What axe-core finds wrong for people who use assistive technology. */
  async violations(): Promise<readonly string[]> {
    await this.page.evaluate(AXE);
    return this.page.evaluate<string[]>(
      `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
        violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ target, failureSummary }) => target.join(' ') + ' ' + failureSummary).join('; ')))`,
    );
  }

  close(): Promise<void> {
    return this.context.close();
  }
}
