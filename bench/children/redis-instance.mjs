// Instances of an app that share a log, in one process. `redis-instance.mjs <url> <prefix> <count>`; then it reads commands.
import { CacheManager } from '../library.mjs';

const [url, prefix, count] = process.argv.slice(2);
const clock = () => Number(process.hrtime.bigint() / 1_000n);
const open = () => CacheManager.fromSettings({ directory: false, logger: false, distributed: { url, prefix } });
const caches = await Promise.all(Array.from({ length: Number(count) }, open));
const [cache] = caches;
const isOn = (one) => one.getMetrics().l4.state === 'on';
while (!caches.every(isOn)) await sleep(20);

const TASKS = {
  /** Every key is the time of its invalidation. */
  async follow({ seconds }) {
    const lags = [];
    cache.events.on('invalidate', ({ origin, subject }) => {
      if (origin === 'remote') lags.push((clock() - Number(subject)) / 1_000);
    });
    const before = process.cpuUsage();
    await sleep(seconds * 1_000 + 500);
    const { user, system } = process.cpuUsage(before);
    return { cpuUs: user + system, lags };
  },
  async invalidate({ seconds, rate }) {
    const outcomes = { resolved: 0, rejected: 0 };
    const calls = [];
    const beganAt = performance.now();
    for (let n = 0; n < rate * seconds; n++) {
      const wait = beganAt + (n * 1_000) / rate - performance.now();
      if (wait > 0) await sleep(wait);
      calls.push(
        cache.invalidate(String(clock())).then(
          () => outcomes.resolved++,
          () => outcomes.rejected++,
        ),
      );
    }
    await Promise.all(calls);
    return outcomes;
  },
  /** Answers when so many records of others have been followed. */
  hear({ records }) {
    let heard = 0;
    return new Promise((resolve) => {
      cache.events.on('invalidate', () => {
        if (++heard === records) resolve({ heard });
      });
    });
  },
  /** Answers when all have lost their connection and have another. */
  async reconnect() {
    const back = caches.map(
      (one) =>
        new Promise((resolve) => {
          one.events.on('tier', ({ tier, state }) => void (tier === 'l4' && state === 'on' && resolve()));
        }),
    );
    await Promise.all(back);
    return { back: back.length };
  },
};

process.on('message', (message) => void carryOut(message));
process.send('ready');

async function carryOut({ task, ...how }) {
  if (task === 'end') {
    await Promise.all(caches.map((one) => one.close()));
    process.exit(0);
  }
  process.send(await TASKS[task](how));
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
