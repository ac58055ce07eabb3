import { chromium, type Browser, type Page } from 'playwright-core';

export const BROWSERS = ['chromium-headless-shell', 'chromium', 'google-chrome'];

/** What a page of a test shows, as a user would go through the app. */
export class Tab {
  private constructor(
    private readonly browser: Browser,
    private readonly page: Page,
    private readonly url: string,
  ) {}

  /** A tab of a new browser. `keepsPages` = pages that are left are kept as they are, for the back button. */
  static async open(program: string, url: string, { keepsPages = false } = {}): Promise<Tab> {
    const browser = await chromium.launch({
      executablePath: program,
      args: ['--no-sandbox'],
      ...(keepsPages ? { ignoreDefaultArgs: ['--disable-back-forward-cache'] } : {}),
    });
    return new Tab(browser, await browser.newPage(), url);
  }

  async visit(path: string): Promise<string> {
    await this.page.goto(`${this.url}${path}`);
    return this.text();
  }

  async reload(): Promise<string> {
    await this.page.reload();
    return this.text();
  }

  /** As the back button, so many times. */
  async back(times = 1): Promise<string> {
    for (let n = 0; n < times; n++) await this.page.goBack();
    return this.text();
  }

  /** What the page's own code gets by fetch. */
  fetch(path: string, cache: 'default' | 'no-cache' | 'reload' | 'force-cache' = 'default'): Promise<string> {
    const get = `fetch(${JSON.stringify(path)}, { cache: '${cache}' }).then((answer) => answer.text())`;
    return this.page.evaluate<string>(get);
  }

  async close(): Promise<void> {
    await this.browser.close();
  }

  private async text(): Promise<string> {
    return (await this.page.textContent('body')) ?? '';
  }
}
