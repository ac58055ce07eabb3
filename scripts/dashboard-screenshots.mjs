// Makes the pictures of docs/dashboard.md: `node scripts/dashboard-screenshots.mjs`. Needs `npm run build` and a Chromium.
import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { fill, oneRound, openDemo } from './dashboard-demo.mjs';

const FOLDER = fileURLToPath(new URL('../docs/images', import.meta.url));
const BROWSER = process.env.CHROMIUM ?? '/usr/bin/chromium-headless-shell';
const SCREENS = [
  ['overview', '#/', 'Requests per second'],
  ['lane', '#/lane/docs', 'Top entries'],
  ['entries', '#/entries?pattern=customer%3A*&lane=standard', 'looked at'],
  ['checkpoints', '#/checkpoints', 'nightly-report'],
];
/** So long that the plots show something. */
const ROUNDS = 240;

await mkdir(FOLDER, { recursive: true });
const demo = await openDemo();
const browser = await chromium.launch({ executablePath: BROWSER, args: ['--no-sandbox'] });
try {
  await fill(demo.cache);
  let isOver = false;
  let hasEnough = () => undefined;
  const enough = new Promise((resolve) => (hasEnough = resolve));
  const load = (async () => {
    for (let round = 40; !isOver; round++) {
      await oneRound(demo.cache, round);
      await sleep(150 + 100 * Math.sin(round / 14));
      if (round === 40 + ROUNDS) hasEnough();
    }
  })();
  await enough;
  for (const colorScheme of ['light', 'dark']) {
    const page = await browser.newPage({ viewport: { width: 1280, height: 960 }, colorScheme });
    await page.goto(demo.url);
    // Rates are known from the second state on.
    await page
      .getByText(/[1-9]\d*\/s/)
      .first()
      .waitFor();
    for (const [name, hash, text] of SCREENS) {
      await page.evaluate((to) => (location.hash = to), hash);
      await page.getByText(text).first().waitFor();
      await sleep(400);
      await page.screenshot({ path: `${FOLDER}/dashboard-${name}-${colorScheme}.png` });
    }
    await page.close();
  }
  isOver = true;
  await load;
} finally {
  await browser.close();
  await demo.close();
}
