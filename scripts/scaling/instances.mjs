// Some instances in one process. `instances.mjs <url> <count> <invalidations per second> <seconds>`
import { CacheManager } from '../../dist/esm/index.js';

const [url, count, rate, seconds] = process.argv.slice(2);
const clock = () => Number(process.hrtime.bigint() / 1_000n);
const lags = [];
const caches = [];
for (let n = 0; n < Number(count); n++) {
  const cache = await CacheManager.fromSettings({
    directory: false,
    logger: false,
    distributed: { url, prefix: 'scaling' },
  });
  cache.events.on('invalidate', ({ origin, subject }) => {
    if (origin === 'remote') lags.push((clock() - Number(subject)) / 1_000);
  });
  caches.push(cache);
}
while (!caches.every((cache) => cache.getMetrics().l4.state === 'on')) await sleep(20);
process.once('message', () => void run());
process.send('ready');

async function run() {
  const beganAt = performance.now();
  for (let n = 0; n < Number(rate) * Number(seconds); n++) {
    const wait = beganAt + (n * 1_000) / Number(rate) - performance.now();
    if (wait > 0) await sleep(wait);
    caches[n % caches.length].invalidate(String(clock())).catch(() => undefined);
  }
  await sleep(beganAt + Number(seconds) * 1_000 + 500 - performance.now());
  process.send({ lags });
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
