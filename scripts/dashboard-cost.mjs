// What open pages of the dashboard cost the app: `node scripts/dashboard-cost.mjs [pages]`. Needs `npm run build` and a Chromium.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { fill, openDemo } from './dashboard-demo.mjs';

const BROWSER = process.env.CHROMIUM ?? '/usr/bin/chromium-headless-shell';
const MEASURED_MS = 30_000;

/** The CPU time of this process per time that passes, in percent of a core. */
async function share() {
  const [before, at] = [process.cpuUsage(), performance.now()];
  await sleep(MEASURED_MS);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 10 / (performance.now() - at);
}

/** The browser's side runs in a process of its own, so that the app's CPU time is the app's alone. */
async function browse(url, pages) {
  const browser = await chromium.launch({ executablePath: BROWSER, args: ['--no-sandbox'] });
  for (let n = 0; n < pages; n++) {
    const page = await browser.newPage();
    await page.goto(url);
    await page.getByText('Requests per second').first().waitFor();
  }
  process.send('open');
  await once(process, 'message');
  await browser.close();
  process.disconnect();
}

const [, , given = '20', url] = process.argv;
const pages = Number(given);
if (url === undefined) {
  const demo = await openDemo();
  await fill(demo.cache);
  const alone = await share();
  const browser = fork(process.argv[1], [given, demo.url]);
  await once(browser, 'message');
  const watched = await share();
  browser.send('close');
  await once(browser, 'exit');
  await demo.close();
  const text = (percent) => `${percent.toFixed(2)} %`;
  console.log(`The app without a page uses ${text(alone)} of a core, with ${pages} pages ${text(watched)}.`);
  console.log(
    `${pages} pages cost ${text(watched - alone)} of a core. Load of the machine: ${loadavg()[0].toFixed(1)}.`,
  );
} else {
  await browse(url, pages);
}
