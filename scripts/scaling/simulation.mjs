import { RedisBackend } from './library.mjs';
import { SimulatedClock } from './clock.mjs';
import { SimulatedServer } from './server.mjs';

/** Time of the simulation: until all is quiet, and then measured. */
const SETTLE_MS = 1_500;
const MEASURED_MS = 4_000;
const LANES = new Map([['standard', { compressFrom: undefined, maxEntryBytes: 1_000_000, coalesces: false }]]);

/** Runs so many instances, which together invalidate so many keys a second. */
export async function simulate({ instances: count, rate, isBrief = false }) {
  const clock = new SimulatedClock();
  const server = new SimulatedServer(clock);
  const sampled = { lags: [], took: [], isOn: false };
  globalThis.gc?.();
  const heapBefore = process.memoryUsage().heapUsed;
  const instances = Array.from({ length: count }, () => new Instance(clock, server, sampled));
  for (const instance of instances) instance.start();
  await clock.run(SETTLE_MS);
  const stop = publish(clock, instances, rate, sampled);
  await clock.run(500);
  sampled.isOn = true;
  const before = { busyMs: server.busyMs, appended: server.appended, at: clock.monotonic() };
  // A second has few records where they are rare.
  await clock.run(Math.max(MEASURED_MS, 20_000 / rate));
  sampled.isOn = false;
  const busyMs = server.busyMs - before.busyMs;
  const result = {
    busy: Math.max(busyMs / (clock.monotonic() - before.at), server.delayMs > 500 ? 1 : 0),
    usEach: (1_000 * busyMs) / (server.appended - before.appended),
    lag: quantile(sampled.lags),
    took: quantile(sampled.took),
    heapKb: (process.memoryUsage().heapUsed - heapBefore) / 1_024 / count,
  };
  if (!isBrief && result.busy < 0.99) {
    result.backMs = await backAfter(clock, instances, () => server.cutAll());
    result.failedOverMs = await backAfter(clock, instances, () => server.failOver());
  }
  stop();
  for (const instance of instances) instance.stop();
  await clock.run(2_000);
  return result;
}

/** How long after `fault` the last instance follows the log again. */
async function backAfter(clock, instances, fault) {
  fault();
  const at = clock.monotonic();
  await clock.run(20);
  while (!instances.every((instance) => instance.isOn) && clock.monotonic() - at < 60_000) await clock.run(10);
  return clock.monotonic() - at;
}

/** Instances invalidate in turns, evenly. */
function publish(clock, instances, rate, sampled) {
  const state = { isOver: false, n: 0 };
  const next = () => {
    if (state.isOver) return;
    const instance = instances[state.n++ % instances.length];
    instance.invalidate(sampled);
    clock.schedule(1_000 / rate, next);
  };
  next();
  return () => (state.isOver = true);
}

function quantile(values) {
  const sorted = Float64Array.from(values).sort();
  return (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/** One instance: everything that the library does with a server, above a cache that does nothing. */
class Instance {
  constructor(clock, server, sampled) {
    this.clock = clock;
    this.sampled = sampled;
    this.position = 0;
    const life = { now: () => clock.now() };
    const cache = {
      apply: (record) => {
        this.position++;
        if (sampled.isOn) sampled.lags.push(clock.monotonic() - Number(record.subject));
        return Promise.resolve();
      },
      pass: () => this.position++,
      drop: () => {
        this.position++;
        return Promise.resolve();
      },
      bar: () => undefined,
      suspect: () => undefined,
      release: () => undefined,
    };
    this.cache = cache;
    this.backend = new RedisBackend(
      {
        url: undefined,
        client: undefined,
        prefix: 'p',
        commandTimeoutMs: 250,
        onDisconnect: 'serve',
        maxStalenessMs: 30_000,
        trustPersistence: false,
        logLength: 10_000,
        hmacKey: undefined,
        lanes: LANES,
        clock,
        life,
        events: { wants: () => false, emit: () => undefined },
        recorder: () => ({ tierError: () => undefined }),
        position: () => this.position,
        journal: () => undefined,
        outbox: () => undefined,
        unpublished: new Map(),
        labelsOf: () => [],
      },
      server.template(),
    );
  }

  get isOn() {
    return this.backend.tier.state.state === 'on';
  }

  start() {
    void this.backend.start(this.cache);
  }

  invalidate(sampled) {
    const at = this.clock.monotonic();
    const record = { kind: 'key', lane: 'standard', subject: String(at), position: ++this.position };
    this.backend.log.publish([record], Promise.resolve()).held.then(
      () => sampled.isOn && sampled.took.push(this.clock.monotonic() - at),
      () => undefined,
    );
  }

  stop() {
    void this.backend.close();
  }
}
