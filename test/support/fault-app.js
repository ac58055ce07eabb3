// An app that uses the library by its public face, carries out commands line by line, and watches what it gets.
// A value is right when it is of its key and was computed after the last invalidation of the key that had resolved.
import { subscribe } from 'node:diagnostics_channel';
import { createInterface } from 'node:readline';
import { CacheManager } from './lib/app/cache-app.js';

const settings = JSON.parse(process.argv[2]);
const say = (value) => process.stdout.write(`${JSON.stringify(value ?? null)}\n`);
const seen = { calls: 0, wrong: 0, refused: 0, unhandled: 0, late: 0 };
process.on('unhandledRejection', () => seen.unhandled++);

const events = [];
const logged = [];
const logger = Object.fromEntries(
  ['log', 'warn', 'error'].map((level) => [level, (text) => logged.push(`${level} ${text}`)]),
);
// from the start: an app says that it waits before it can be asked
let role;
subscribe('nestjs-lane-cache:owner', ({ state }) => (role = state));
const cache = await CacheManager.fromSettings({ logger, ...settings });
cache.events.on('tier', (event) =>
  events.push(`${event.tier} ${event.state}${event.reason ? ` ${event.reason}` : ''}`),
);
cache.events.on('quarantine', ({ cause }) => events.push(`quarantine ${cause}`));
cache.events.on('owner', ({ state }) => events.push(`owner ${state}`));

const DEADLINE_MS = 15_000;
const rounds = new Map();
const required = new Map();
const roundOf = (key) => rounds.get(key) ?? 0;
const valueOf = (key, bytes) => ({
  key,
  round: roundOf(key),
  body: `${key};`.repeat(Math.ceil(bytes / (key.length + 1))),
});

const timed = async (call) => {
  const startedAt = performance.now();
  seen.calls++;
  try {
    return await call();
  } finally {
    if (performance.now() - startedAt > DEADLINE_MS) seen.late++;
  }
};

const look = async (key, bytes, options) => {
  const least = required.get(key) ?? 0;
  const value = await timed(() => cache.getOrSet(key, () => valueOf(key, bytes), options)).catch((error) => ({
    error,
  }));
  if (value.key !== key || value.round < least || !value.body.startsWith(`${key};`)) {
    seen.wrong++;
    process.stderr.write(
      `wrong: ${key} ${JSON.stringify(value).slice(0, 200)} ${String(value.error?.stack)} wants ${least}\n`,
    );
  }
  return value;
};

const invalidate = async (key, how) => {
  const round = roundOf(key) + 1;
  rounds.set(key, round);
  try {
    await timed(() => how());
    if ((required.get(key) ?? 0) < round) required.set(key, round);
    say(['invalidated', key, round]);
  } catch (error) {
    if (error.code !== 'INVALIDATION_NOT_DURABLE') throw error;
    seen.refused++;
  }
};

let isLoading = false;
const load = async ({ worker, keys, bytes, changes, saves, stateBytes }) => {
  for (let n = worker; isLoading; n += 7) {
    const key = `key:${(n * 7_919) % keys}`;
    await look(key, bytes, { tags: [`tag:${n % 5}`, key] });
    if (changes > 0 && n % changes === 0) {
      await invalidate(key, () =>
        [() => cache.invalidate(key), () => cache.invalidateByTag(key), () => cache.invalidateByPattern(key)][n % 3](),
      );
    }
    if (saves > 0 && n % saves === 0) {
      await timed(() => cache.snapshots.cacheCheckpoint(`flow:${worker}`, { n, body: 'x'.repeat(n % stateBytes) }))
        .then(({ version }) => say(['saved', `flow:${worker}`, version, n]))
        .catch((error) => {
          if (error.code !== 'CHECKPOINTS_UNAVAILABLE') throw error;
          seen.refused++;
        });
    }
    if (n % 50 < 7) await new Promise((resolve) => setImmediate(resolve));
  }
};

let loading = [];
const commands = {
  start: (options) => {
    isLoading = true;
    loading = Array.from({ length: options.workers ?? 4 }, (_, worker) =>
      load({ keys: 200, bytes: 800, changes: 5, saves: 9, stateBytes: 30_000, ...options, worker }),
    );
    return 'started';
  },
  stop: async () => {
    isLoading = false;
    await Promise.all(loading);
    return seen;
  },
  /** The acknowledged writes of an earlier process. Everything is looked at after they are known. */
  check: async ({ invalidated, keys, bytes }) => {
    for (const [key, round] of invalidated) {
      rounds.set(key, round);
      required.set(key, round);
    }
    for (let n = 0; n < keys; n++) await look(`key:${n}`, bytes ?? 800, { tags: [`key:${n}`] });
    return { ...seen, hits: cache.getMetrics().l3.hits };
  },
  fill: async ({ from = 0, keys, bytes }) => {
    for (let n = from; n < from + keys; n++) await look(`key:${n}`, bytes, { tags: [`key:${n}`] });
    await cache.flush();
    return seen;
  },
  invalidate: async (key) => {
    await invalidate(key, () => cache.invalidate(key));
    return seen;
  },
  restore: async (id, version) => (await timed(() => cache.snapshots.restoreCheckpoint(id, { version })))?.n ?? null,
  save: async (id, n) => (await timed(() => cache.snapshots.cacheCheckpoint(id, { n }))).version,
  state: () => {
    const { l1, l2, l3 } = cache.getMetrics();
    return Object.fromEntries(
      Object.entries({ l1, l2, l3 }).map(([name, tier]) => [name, [tier.state, tier.reason].join(' ').trim()]),
    );
  },
  metrics: () => cache.getMetrics(),
  until: async (tier, state) => {
    const current = async () =>
      tier === 'checkpoints' ? (await cache.getCheckpointCacheStatus()).state : cache.getMetrics()[tier].state;
    // L3 of another process is on as well
    const isItsOwn = () => tier !== 'l3' || state !== 'on' || role !== 'waiting';
    for (let waits = 0; ((await current()) !== state || !isItsOwn()) && waits < 9_000; waits++)
      await new Promise((resolve) => setTimeout(resolve, 20));
    return current();
  },
  sweep: () => cache.sweep(),
  flush: async () => {
    await cache.flush();
    return 'flushed';
  },
  seen: () => seen,
  events: () => events.splice(0),
  logged: () => logged.splice(0),
  close: async () => {
    await cache.close();
    return 'closed';
  },
  // oxlint-disable-next-line typescript/no-implied-eval -- specs bring their own programs
  run: (source) => new Function('cache', 'look', 'seen', `return (async () => { ${source} })()`)(cache, look, seen),
};
say('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...args] = JSON.parse(line);
  void (async () => commands[name](...args))().then(
    (answer) => say({ answer: answer ?? null }),
    (error) => say({ failed: `${error.code ?? error.name}: ${error.message}` }),
  );
}
