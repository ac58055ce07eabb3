/**
 * A program that starts workers on one directory, and asks them. Each key is changed by one loop, which then asks several
 * workers: every answer must be the newest. Workers are killed and stopped at random. It prints what it has seen.
 *
 * Arguments: directory, workers, gets, kills, stops, seed.
 */
export const HOST_STRESS = `
import { fork } from 'node:child_process';
import { CacheManager } from './lib/app/cache-app.js';
const [directory, workers, gets, kills, stops, seed] = process.argv.slice(process.send === undefined ? 2 : 3);
const settings = { directory, logger: false, storage: { minFreeBytes: 0, sweepEvery: false } };

async function work() {
  const cache = await CacheManager.fromSettings(settings);
  const calls = {
    get: ({ key, n, tags }) => cache.getOrSet(key, () => n, { tags }),
    set: ({ key, n, tags }) => cache.set(key, n, { tags }),
    key: ({ key }) => cache.invalidate(key),
    tag: ({ tags }) => cache.invalidateByTag(...tags),
    pattern: ({ key }) => cache.invalidateByPattern(key + '*'),
    clear: () => cache.clearAll(),
    twice: async ({ key, n, tags }) => {
      await cache.getOrSet(key, () => n, { tags });
      return cache.getOrSet(key, () => n, { tags });
    },
    state: () => cache.getMetrics().l3,
    close: () => cache.close().then(() => process.disconnect()),
  };
  process.on('message', ({ id, call, ...args }) => {
    Promise.resolve(calls[call](args)).then(
      (value) => process.send?.({ id, value }),
      (error) => process.send?.({ id, error: String(error.code ?? error) }),
    );
  });
  process.send({ ready: true });
}

let random = Number(seed);
const chance = () => ((random = (random * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff);
const pick = (list) => list[Math.floor(chance() * list.length)];

class Worker {
  waiting = new Map();
  ids = 0;
  isDead = false;
  static async start() {
    const worker = new Worker();
    worker.child = fork(process.argv[1], ['worker', ...process.argv.slice(2)]);
    await new Promise((ready, failed) => {
      worker.child.on('message', (message) => (message.ready ? ready() : worker.settle(message)));
      worker.child.once('exit', (code, signal) => {
        worker.isDead = true;
        if (signal === null && code !== 0) seen.crashes++;
        for (const settle of worker.waiting.values()) settle({ error: 'dead' });
        failed(new Error('the worker died at its start: ' + (code ?? signal)));
      });
    });
    return worker;
  }
  settle({ id, ...answer }) {
    this.waiting.get(id)?.(answer);
    this.waiting.delete(id);
  }
  ask(call, args) {
    if (this.isDead) return Promise.resolve({ error: 'dead' });
    return new Promise((resolve) => {
      const id = ++this.ids;
      this.waiting.set(id, resolve);
      this.child.send({ id, call, ...args }, (error) => error && this.settle({ id, error: 'dead' }));
    });
  }
}

const seen = { gets: 0, changes: 0, computed: 0, stale: 0, refused: 0, kills: 0, stops: 0, crashes: 0, ends: [] };

async function drive() {
  let alive = await Promise.all(Array.from({ length: Number(workers) }, () => Worker.start()));
  const isOver = () => seen.gets >= Number(gets) && seen.kills >= Number(kills) && seen.stops >= Number(stops);
  const changeOf = ['key', 'key', 'tag', 'set', 'pattern'];
  const loop = async (k) => {
    const key = 'key-' + k + '-';
    const tags = ['tag-' + k];
    for (let n = 1; !isOver(); n++) {
      const call = pick(changeOf);
      const { error } = await pick(alive).ask(call, { key, n, tags });
      if (error !== undefined && error !== 'dead') seen.refused++;
      if (error !== undefined) continue;
      seen.changes++;
      for (let i = 0; i < 4; i++) {
        const asked = pick(alive);
        const { value, error } = await asked.ask(chance() < 0.3 ? 'twice' : 'get', { key, n, tags });
        if (error !== undefined) { if (error !== 'dead') seen.refused++; continue; }
        seen.gets++;
        if (value !== n) {
          seen.stale++;
          if (seen.ends.length < 5) seen.ends.push({ key, call, n, value });
        }
      }
    }
  };
  const faults = async () => {
    while (!isOver()) {
      await new Promise((later) => setTimeout(later, 60 + chance() * 120));
      const victim = pick(alive);
      if (seen.kills < Number(kills) && chance() < 0.5) {
        seen.kills++;
        victim.child.kill('SIGKILL');
        const next = await Worker.start();
        alive = [...alive.filter((one) => one !== victim), next];
      } else if (seen.stops < Number(stops)) {
        seen.stops++;
        victim.child.kill('SIGSTOP');
        await new Promise((later) => setTimeout(later, 50 + chance() * 300));
        victim.child.kill('SIGCONT');
      }
    }
  };
  await Promise.all([faults(), ...Array.from({ length: 8 }, (_, k) => loop(k))]);
  for (const worker of alive) worker.child.kill('SIGKILL');
  console.log(JSON.stringify(seen));
  process.exit(0);
}

await (process.send === undefined ? drive() : work());
`;
