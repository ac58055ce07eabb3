/** What a stress has seen. */
export interface HostStressSeen {
  /** Answers that were judged. */
  readonly gets: number;
  readonly changes: number;
  /** Hits of L3, of all workers that were still there to be asked. */
  readonly l3Hits: number;
  /** Answers that an invalidation or a set should have made impossible: it had resolved before the call was made. */
  readonly stale: number;
  /** Changes that the server did not take in time, as their calls said. A machine that has more to do than it can may cause some. */
  readonly pending: number;
  /** Calls that rejected for another reason, other than savings while nobody answered for the checkpoints. */
  readonly refused: number;
  readonly saved: number;
  /** Checkpoints that were acknowledged and are not there. */
  readonly lost: number;
  readonly kills: number;
  readonly stops: number;
  /** How often bytes that are no record came into the log. */
  readonly garbage: number;
  /** Workers that ended although nobody had killed them. */
  readonly crashes: number;
  /** Calls without an answer after a minute. */
  readonly hangs: number;
  readonly examples: readonly object[];
}

/**
 * A program that starts workers on one directory, and asks them. Each key is changed by one loop, which then asks several
 * workers at once, each for a row of answers: every one must be the newest. In between they read what they have of other keys,
 * which must not be older than the last change that had resolved when they were asked. Computations of older values go on
 * meanwhile. Workers are killed and stopped at random, and garbage is appended to the log. It prints what it has seen.
 *
 * Arguments: directory, workers, gets, kills, stops, seed; `apart` for workers that are in a PID namespace each, else nothing; and
 * the address of a server that they share as well.
 */
export const HOST_STRESS = `
import { fork } from 'node:child_process';
import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { CacheManager } from './lib/app/cache-app.js';
const [directory, workers, gets, kills, stops, seed, place, url] = process.argv.slice(process.send === undefined ? 2 : 3);
const lanes = { standard: { l1: { maxEntries: 12 } } };
const settings = { directory, lanes, logger: false, storage: { minFreeBytes: 0, sweepEvery: false } };
if (url) settings.distributed = { url, prefix: 'stress' };
const HANGS_AFTER_MS = 60_000;
const KEYS = 24;
/** After each change so many workers are asked, each in one message for so many answers, and for as many other keys. */
const WORKERS_ASKED = 3;
const ANSWERS_OF_EACH = 8;

async function work() {
  const cache = await CacheManager.fromSettings(settings);
  const slowly = (n, ms) => async () => {
    await pause(ms);
    return n;
  };
  const get = ({ key, n, tags, ms }) => cache.getOrSet(key, ms > 0 ? slowly(n, ms) : () => n, { tags });
  const begun = new Set();
  const ways = {
    get,
    twice: (asked) => get(asked).then(() => get(asked)),
    forced: ({ key, n, tags, ms }) => cache.getOrSet(key, slowly(n, ms), { tags, forceFresh: true }),
  };
  const calls = {
    /** One after the other. Each is the answer, or an error. */
    row: async ({ key, n, tags, row, others }) => {
      const answers = [];
      const found = [];
      for (const [at, { how, ms }] of row.entries()) {
        const answer = ways[how]({ key, n, tags, ms });
        answers.push(await answer.then((value) => ({ value }), (error) => ({ error: String(error.code ?? error) })));
        const other = others[at];
        if (other !== undefined) found.push((await cache.get(other.key).catch(() => undefined)) ?? null);
      }
      return { answers, found };
    },
    /**
     * An older value, which is computed while the key is changed. Resolves once the computation has begun: one that began
     * after the change would count. One at a time, because another one would wait for the first.
     */
    begin: ({ key, n, tags, ms }) => {
      if (begun.has(key)) return;
      begun.add(key);
      return new Promise((resolve) => {
        const compute = () => {
          resolve();
          return slowly(n, ms)();
        };
        const ended = () => {
          begun.delete(key);
          resolve();
        };
        cache.getOrSet(key, compute, { tags, forceFresh: true }).then(ended, ended);
      });
    },
    set: ({ key, n, tags }) => cache.set(key, n, { tags }),
    key: ({ key }) => cache.invalidate(key),
    tag: ({ tags }) => cache.invalidateByTag(...tags),
    pattern: ({ key }) => cache.invalidateByPattern(key + '*'),
    clear: () => cache.clearAll(),
    save: ({ key, n }) => cache.snapshots.cacheCheckpoint(key, { n }).then(({ version }) => version),
    restore: ({ key, version }) => cache.snapshots.restoreCheckpoint(key, { version }).then((state) => state?.n),
    l3Hits: () => cache.getMetrics().l3.hits,
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

// One that is stopped when this program fails would hold its output open.
const started = [];
process.once('exit', () => started.forEach((child) => child.kill('SIGKILL')));

class Worker {
  waiting = new Map();
  ids = 0;
  isDead = false;
  static async start() {
    const worker = new Worker();
    const apart = { execPath: 'unshare', execArgv: ['--pid', '--fork', '--kill-child', '--mount-proc', process.execPath] };
    worker.child = fork(process.argv[1], ['worker', ...process.argv.slice(2)], place === 'apart' ? apart : {});
    started.push(worker.child);
    await new Promise((ready, failed) => {
      const late = setTimeout(() => failed(new Error('a worker was not ready after a minute')), HANGS_AFTER_MS);
      worker.child.on('message', (message) => (message.ready ? (clearTimeout(late), ready()) : worker.settle(message)));
      worker.child.once('exit', (code, signal) => {
        worker.isDead = true;
        if (!worker.isKilled) seen.crashes++;
        for (const settle of worker.waiting.values()) settle({ error: 'dead' });
        failed(new Error('the worker died at its start: ' + (code ?? signal)));
      });
    });
    return worker;
  }
  kill() {
    this.isKilled = true;
    this.signal('SIGKILL');
  }
  /** Where it is in a namespace of its own, its number here is that of the child of the program that made the namespace. */
  signal(name) {
    const { pid } = this.child;
    const inner = place === 'apart' ? Number(readFileSync('/proc/' + pid + '/task/' + pid + '/children', 'utf8')) : pid;
    process.kill(inner || pid, name);
  }
  settle({ id, ...answer }) {
    this.waiting.get(id)?.(answer);
    this.waiting.delete(id);
  }
  ask(call, args) {
    if (this.isDead) return Promise.resolve({ error: 'dead' });
    return new Promise((resolve) => {
      const id = ++this.ids;
      const late = setTimeout(() => {
        seen.hangs++;
        note({ call, ...args, hangs: true });
        this.settle({ id, error: 'dead' });
      }, HANGS_AFTER_MS);
      this.waiting.set(id, (answer) => {
        clearTimeout(late);
        resolve(answer);
      });
      this.child.send({ id, call, ...args }, (error) => error && this.settle({ id, error: 'dead' }));
    });
  }
}

const seen = {
  ...{ gets: 0, changes: 0, l3Hits: 0, stale: 0, pending: 0, refused: 0, saved: 0, lost: 0 },
  ...{ kills: 0, stops: 0, garbage: 0, crashes: 0, hangs: 0, examples: [] },
};
const saved = [];
const note = (example) => seen.examples.length < 5 && seen.examples.push(example);

function spoilLog() {
  const folder = join(directory, 'log');
  const numbers = readdirSync(folder).map((name) => /^(\\d+)\\.log$/.exec(name)?.[1]).filter(Boolean).map(Number);
  const bytes = Buffer.from(Array.from({ length: 1 + Math.floor(chance() * 300) }, () => Math.floor(chance() * 256)));
  try {
    appendFileSync(join(folder, Math.max(...numbers) + '.log'), bytes);
    seen.garbage++;
  } catch {
    // The segment was removed meanwhile.
  }
}

async function drive() {
  let alive = await Promise.all(Array.from({ length: Number(workers) }, () => Worker.start()));
  const isOver = () => seen.gets >= Number(gets) && seen.kills >= Number(kills) && seen.stops >= Number(stops);
  const CHANGES = ['key', 'key', 'tag', 'set', 'pattern', 'clear'];
  const refused = (asked, error) => {
    if (error === 'dead') return;
    seen.refused++;
    note({ ...asked, error });
  };
  const save = async (k, n) => {
    const asked = { key: 'flow-' + k, n };
    const { value: version, error } = await pick(alive).ask('save', asked);
    if (error === undefined) saved.push({ ...asked, version });
    else if (error !== 'CHECKPOINTS_UNAVAILABLE') refused(asked, error);
  };
  const keyOf = (k) => 'key-' + k + '-';
  /** By key: the last change that has resolved. What is older must not be served any more. */
  const floors = Array.from({ length: KEYS }, () => 0);
  const HOW = ['get', 'get', 'get', 'twice', 'forced'];
  const askForRow = async (worker, k, asked, call) => {
    const row = Array.from({ length: ANSWERS_OF_EACH }, () => ({ how: pick(HOW), ms: chance() < 0.2 ? chance() * 12 : 0 }));
    const others = row.map(() => Math.floor(chance() * KEYS)).filter((other) => other !== k);
    const wanted = others.map((other) => ({ key: keyOf(other), floor: floors[other] }));
    const { value, error } = await worker.ask('row', { ...asked, row, others: wanted });
    if (error !== undefined) return refused({ call, key: asked.key, n: asked.n }, error);
    for (const [at, answer] of value.answers.entries()) {
      if (answer.error !== undefined) refused({ ...row[at], ...asked }, answer.error);
      else judge({ key: asked.key, call, ...row[at], n: asked.n, value: answer.value }, answer.value === asked.n);
    }
    for (const [at, held] of value.found.entries()) {
      const { key, floor } = wanted[at];
      if (held !== null) judge({ key, how: 'held', floor, value: held }, held >= floor);
    }
  };
  const judge = (example, isRight) => {
    seen.gets++;
    if (isRight) return;
    seen.stale++;
    note(example);
  };
  const several = () => {
    const left = [...alive];
    return Array.from({ length: Math.min(WORKERS_ASKED, left.length) }, () =>
      left.splice(Math.floor(chance() * left.length), 1)[0]);
  };
  const loop = async (k) => {
    const key = keyOf(k);
    const tags = ['tag-' + k];
    for (let n = 1; !isOver(); n++) {
      if (alive.every(({ isDead }) => isDead)) throw new Error('all workers are dead: ' + JSON.stringify(seen));
      if (chance() < 0.3) await pick(alive).ask('begin', { key, n: n - 1, tags, ms: chance() * 20 });
      const call = pick(CHANGES);
      const { error } = await pick(alive).ask(call, { key, n, tags });
      if (error === 'INVALIDATION_PENDING') seen.pending++;
      else if (error !== undefined) refused({ call, key, n }, error);
      if (error !== undefined) continue;
      seen.changes++;
      floors[k] = n;
      if (chance() < 0.05) await save(k, n);
      await Promise.all(several().map((worker) => askForRow(worker, k, { key, n, tags }, call)));
    }
  };
  const faults = async () => {
    while (!isOver()) {
      await pause(60 + chance() * 120);
      const victim = pick(alive);
      const what = chance();
      if (what < 0.2) spoilLog();
      else if (what < 0.6 && seen.kills < Number(kills)) {
        seen.kills++;
        victim.kill();
        const next = await Worker.start();
        alive = [...alive.filter((one) => one !== victim), next];
      } else if (seen.stops < Number(stops)) {
        seen.stops++;
        victim.signal('SIGSTOP');
        await pause(50 + chance() * 400);
        victim.signal('SIGCONT');
      }
    }
  };
  await Promise.all([faults(), ...floors.map((_, k) => loop(k))]);
  for (const worker of alive) seen.l3Hits += (await worker.ask('l3Hits', {})).value ?? 0;
  seen.saved = saved.length;
  for (const { key, n, version } of saved) {
    const { value } = await alive[0].ask('restore', { key, version });
    if (value === n) continue;
    seen.lost++;
    note({ key, n, version, value });
  }
  for (const worker of alive) worker.kill();
  console.log(JSON.stringify(seen));
  process.exit(0);
}

await (process.send === undefined ? drive() : work());
`;
