import { chromium, type Browser, type Page } from 'playwright-core';

export const BROWSERS = ['chromium-headless-shell', 'chromium', 'google-chrome'];

/** `keepsPages` = pages that are left are kept as they are, for the back button. */
export function launch(program: string, { keepsPages = false } = {}): Promise<Browser> {
  return chromium.launch({
    executablePath: program,
    args: ['--no-sandbox'],
    ...(keepsPages ? { ignoreDefaultArgs: ['--disable-back-forward-cache'] } : {}),
  });
}

/** What a page of a test shows, as a user would go through the app. */
export class Tab {
  private constructor(
    private readonly page: Page,
    private readonly url: string,
  ) {}

  /** A tab of a user who has not been here before: cookies and kept answers are its own. */
  static async open(browser: Browser, url: string): Promise<Tab> {
    return new Tab(await browser.newPage(), url);
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
    await this.page.close();
  }

  private async text(): Promise<string> {
    return (await this.page.textContent('body')) ?? '';
  }
}
