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
  for (let round = 40; round < 40 + ROUNDS; round++) {
    await oneRound(demo.cache, round);
    await sleep(150 + 100 * Math.sin(round / 14));
  }
  for (const colorScheme of ['light', 'dark']) {
    const page = await browser.newPage({ viewport: { width: 1280, height: 960 }, colorScheme });
    await page.goto(demo.url);
    for (const [name, hash, text] of SCREENS) {
      await page.evaluate((to) => (location.hash = to), hash);
      await page.getByText(text).first().waitFor();
      await sleep(400);
      await page.screenshot({ path: `${FOLDER}/dashboard-${name}-${colorScheme}.png` });
    }
    await page.close();
  }
} finally {
  await browser.close();
  await demo.close();
}
