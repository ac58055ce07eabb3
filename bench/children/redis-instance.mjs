// One instance of an app that shares a log. `redis-instance.mjs <url> <prefix> <follow|invalidate> <per second> <seconds>`
import { CacheManager } from '../library.mjs';

const [url, prefix, role, rate, seconds] = process.argv.slice(2);
const clock = () => Number(process.hrtime.bigint() / 1_000n);
const cache = await CacheManager.fromSettings({ directory: false, logger: false, distributed: { url, prefix } });
await settled();
process.send('ready');
process.once('message', () => void (role === 'follow' ? follow() : invalidate()));

async function settled() {
  for (let asked = 0; asked < 200 && cache.getMetrics().l4.state !== 'on'; asked++) await sleep(25);
  if (cache.getMetrics().l4.state !== 'on') throw new Error('not connected');
}

/** Every key names the time of its invalidation. */
async function follow() {
  const lags = [];
  cache.events.on('invalidate', ({ origin, subject }) => {
    if (origin === 'remote') lags.push((clock() - Number(subject)) / 1_000);
  });
  const before = process.cpuUsage();
  await sleep(Number(seconds) * 1_000 + 500);
  const { user, system } = process.cpuUsage(before);
  process.send({ cpuUs: user + system, lags });
  await end();
}

async function invalidate() {
  const outcomes = { resolved: 0, rejected: 0 };
  const took = [];
  const count = Number(rate) * Number(seconds);
  const beganAt = performance.now();
  const calls = [];
  for (let n = 0; n < count; n++) {
    const wait = beganAt + (n * 1_000) / Number(rate) - performance.now();
    if (wait > 0) await sleep(wait);
    const at = clock();
    calls.push(
      cache.invalidate(String(at)).then(
        () => outcomes.resolved++ + took.push((clock() - at) / 1_000),
        () => outcomes.rejected++,
      ),
    );
  }
  await Promise.all(calls);
  process.send({ ...outcomes, took });
  await sleep(500);
  await end();
}

async function end() {
  await cache.close();
  process.exit(0);
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
