// `start.mjs <what> [<directory>]`: loads or opens something in a fresh process, and sends how many ms it took. `open` and
// `hold` keep the app open: one until it is closed in order, the other until it is killed.
import { createRequire } from 'node:module';

const DEPENDENCIES = ['reflect-metadata', '@nestjs/common', '@nestjs/core', 'rxjs', 'lru-cache', 'msgpackr'];
const LIBRARY = new URL('../../dist/', import.meta.url);
const [what, directory] = process.argv.slice(2);
const require = createRequire(import.meta.url);

const WORK = {
  'dependencies import': () => importEach(DEPENDENCIES),
  'library import': () => importEach([...DEPENDENCIES.slice(0, 1), new URL('esm/index.js', LIBRARY).href]),
  'dependencies require': () => DEPENDENCIES.forEach((name) => require(name)),
  'library require': () => [DEPENDENCIES[0], '../../dist/cjs/index.js'].forEach((name) => require(name)),
  open: () => open(),
  hold: () => open(),
};

const { CacheManager } = ['open', 'hold'].includes(what) ? await import('../library.mjs') : {};
const startedAt = performance.now();
const opened = await WORK[what]();
process.send({ ms: performance.now() - startedAt });
if (what === 'hold') setInterval(() => undefined, 1_000);
else {
  await opened?.close?.();
  process.disconnect();
}

async function importEach(names) {
  for (const name of names) await import(name);
}

async function open() {
  const cache = await CacheManager.fromSettings({ directory, logger: false });
  await cache.getOrSet(`entry of ${process.pid}`, () => ({ at: Date.now() }));
  return cache;
}
