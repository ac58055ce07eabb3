import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Workshop } from '../support/child-process.js';
import { FaultChild, nothingYet, type Seen } from '../support/fault-child.js';
import { roundsOf, tell } from '../support/fault-table.js';
import { StorageBench } from '../support/storage.js';

const badOf = ({ wrong, late, unhandled }: Seen): number => wrong + late + unhandled;

/** Lives through a day forward and a day back, by a wall clock that steps while the steady one goes on. */
const CLOCKED = `
import { CacheManager } from './lib/app/cache-app.js';
const [directory, stepMs, restarts] = process.argv.slice(2);
let [wall, steady] = [Date.UTC(2030, 0, 1), 1_000];
const clock = { now: () => wall, monotonic: () => steady, schedule: (ms, run) => { const timer = setTimeout(run, ms); timer.unref(); return () => clearTimeout(timer); } };
const open = () => CacheManager.fromSettings({ directory, clock, lanes: { standard: { ttl: '10m' } }, storage: { minFreeBytes: 0, sweepEvery: false } });
let cache = await open();
let computed = 0, calls = 0;
const get = (n) => { calls++; return cache.getOrSet('key:' + n, () => ++computed); };
for (let n = 0; n < 50; n++) await get(n);
await cache.flush();
await cache.sweep();
wall += Number(stepMs); steady += 60_000;
if (restarts === 'restarts') { await cache.close(); steady = 5; cache = await open(); }
for (let n = 0; n < 50; n++) await get(n);
const afterStep = computed - 50;
steady += 601_000; wall += 601_000;
computed = 0;
for (let n = 0; n < 50; n++) await get(n);
console.log(JSON.stringify({ calls, afterStep, afterTtl: computed }));
await cache.close();
`;

/** Functions that misbehave, and what must come of each. */
const COMPUTES = `
const outcome = (call) => call.then((value) => ['value', value], (error) => ['error', error]);
const cyclic = { name: 'cyclic' }; cyclic.self = cyclic;
class Unlisted { constructor() { this.x = 1; } }
const boom = new Error('boom');
const cases = {
  throws: () => { throw boom; },
  rejects: async () => { throw boom; },
  rejectsWithNothing: () => Promise.reject(undefined),
  hangs: () => new Promise(() => undefined),
  undefined: () => undefined,
  function: () => () => 1,
  symbol: () => Symbol('s'),
  unlisted: () => new Unlisted(),
  cyclic: () => cyclic,
  huge: () => 'x'.repeat(20 * 1024 * 1024),
  getterThatThrows: () => ({ get x() { throw boom; } }),
  proxy: () => new Proxy({}, { ownKeys() { throw boom; } }),
  thenable: () => ({ then: (resolve) => resolve('then') }),
};
const bad = [];
let calls = 0;
for (const [name, compute] of Object.entries(cases)) {
  let runs = 0;
  const counted = () => { runs++; return compute(); };
  const options = name === 'hangs' ? { hardTimeout: '100ms' } : {};
  const both = await Promise.all([1, 2].map(() => outcome(cache.getOrSet(name, counted, options))));
  calls += 2;
  if (runs !== 1) bad.push(name + ' ran ' + runs + ' times at once');
  const isError = both.every(([kind]) => kind === 'error');
  if (['throws', 'rejects'].includes(name) && !both.every(([, error]) => error === boom)) bad.push(name + ' changed its error');
  if (name === 'hangs' && !both.every(([, error]) => error?.code === 'COMPUTE_TIMEOUT')) bad.push(name + ' did not time out');
  if (isError !== ['throws', 'rejects', 'rejectsWithNothing', 'hangs'].includes(name)) bad.push(name + ' ' + JSON.stringify(both.map(([kind, e]) => [kind, String(e?.stack ?? '').slice(0, 300)])));
  calls++;
  const again = await outcome(cache.getOrSet(name, () => 'another', options));
  const isCached = again[1] !== 'another';
  if (isCached && !['thenable', 'cyclic'].includes(name)) bad.push(name + ' was cached');
}
return { bad, calls };
`;

/** Keys, tags, patterns and ids that nobody would choose. */
const FUZZ = `
const [seed, count] = [SEED, COUNT];
let state = seed;
const next = (below) => { state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0; return Math.floor((state / 2 ** 32) * below); };
const shards = ['\\0', '../', '../../etc/passwd', '__proto__', 'constructor', 'toString', '\\ud800', '\\udfff', '*', '?', '**', '[a', '(', '\\\\', '/', 'C:\\\\', '\\n', ':', ' ', '%00', '\\u202e', 'é', 'e\\u0301', '😀', 'a', 'b', 'key', '$1', '\${x}', '{0}', '!bar', '#..', '~', '-rf'];
const text = () => { let out = ''; for (let n = next(9); n >= 0; n--) out += shards[next(shards.length)]; return next(400) === 0 ? out.repeat(2_000) : out; };
const allowed = ['KEY_INVALID', 'KEY_TOO_LONG', 'TAG_INVALID', 'TOO_MANY_TAGS', 'PATTERN_INVALID', 'CHECKPOINT_INVALID'];
const bad = [];
let calls = 0, longest = 0, refused = 0;
const attempt = async (what, run) => {
  calls++;
  const startedAt = performance.now();
  try { await run(); } catch (error) {
    if (allowed.includes(error?.code)) refused++;
    else bad.push(what + ': ' + (error?.stack ?? error));
  }
  longest = Math.max(longest, performance.now() - startedAt);
};
const step = async () => {
  const key = text();
  switch (next(12)) {
    case 0: return attempt('invalidate', () => cache.invalidate(key));
    case 1: return attempt('tag', () => cache.invalidateByTag(text()));
    case 2: return next(20) === 0 ? attempt('pattern', () => cache.invalidateByPattern(text())) : undefined;
    case 3: return attempt('has', () => cache.has(key));
    case 4: return next(30) === 0 ? attempt('save', async () => {
      const info = await cache.snapshots.cacheCheckpoint(key, { key });
      const back = await cache.snapshots.restoreCheckpoint(key);
      if (back?.key !== key) bad.push('checkpoint ' + JSON.stringify(key.slice(0, 100)) + ' ' + info.version);
    }) : undefined;
    case 5: return attempt('set', () => cache.set(key, { key }, { tags: [text(), text()] }));
    default: return attempt('getOrSet', async () => {
      const value = await cache.getOrSet(key, () => ({ key }), { tags: [text()] });
      if (value.key !== key) bad.push('another key: ' + JSON.stringify(key.slice(0, 100)));
    });
  }
};
while (calls < count && bad.length < 5) await Promise.all(Array.from({ length: 50 }, step));
if ({}.polluted !== undefined || Object.keys(Object.prototype).length > 0) bad.push('the prototype of all objects was changed');
return { bad, calls, longest, refused };
`;

describe('a caller', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  it('sees no life lengthened by a clock that is a day off, with and without a restart', async () => {
    const sum = { calls: 0, wrong: 0, lost: 0, crashes: 0 };
    const day = 86_400_000;
    for (const [step, restarts] of [
      [day, 'goes on'],
      [-day, 'goes on'],
      [day, 'restarts'],
      [-day, 'restarts'],
    ] as const) {
      const child = await workshop.run(CLOCKED, [await bench.path('cache'), String(step), restarts]);
      const { status, lines } = await child.end();
      const seen = JSON.parse(lines[0] ?? '{}');
      // forward, lives end early and are renewed; back, they go on; nothing outlives its ttl on the steady clock
      expect({ step, restarts, status, ...seen, errors: child.errors }).toMatchObject({ status: 0, errors: '' });
      sum.calls += seen.calls;
      if (seen.afterTtl !== 50) sum.wrong++;
      if (step > 0 && seen.afterStep !== 50) sum.wrong++;
      if (step < 0 && seen.afterStep !== 0) sum.wrong++;
    }
    tell({ fault: 'F15 clock a day forward and back', rounds: 4, ...sum });
    expect(sum).toMatchObject({ wrong: 0, crashes: 0 });
  }, 60_000);

  it('gets its own error once, and whatever cannot be stored uncached', async () => {
    const app = await FaultChild.start(workshop, { directory: await bench.path('cache') });
    const { bad, calls } = await app.ask('run', COMPUTES);
    const seen: Seen = await app.ask('seen');
    await app.ask('close');
    const status = await app.end('SIGTERM');
    const row = { calls, wrong: bad.length + seen.unhandled, lost: 0, crashes: status === 'SIGTERM' ? 0 : 1 };
    tell({ fault: 'F16 computations that throw, hang, return what cannot be stored', rounds: 1, ...row });
    expect({ bad, ...row }).toMatchObject({ bad: [], wrong: 0, crashes: 0 });
  }, 60_000);

  it('may use any key, tag, pattern and id', async () => {
    const directory = await bench.path('cache');
    const count = process.env['LANE_CACHE_ROUNDS'] === undefined ? 6_000 : 1_000_000;
    const seed = Date.now() % 2 ** 31;
    const lanes = { standard: { l1: { maxEntries: 200 }, l2: { maxEntries: 500 }, l3: { maxEntries: 1_000 } } };
    const app = await FaultChild.start(workshop, { directory, lanes });
    const fuzzed = await app.ask('run', FUZZ.replace('SEED', String(seed)).replace('COUNT', String(count)));
    const seen: Seen = await app.ask('seen');
    await app.ask('close');
    await app.end('SIGTERM');
    const row = { calls: fuzzed.calls, wrong: fuzzed.bad.length + seen.unhandled, lost: 0, crashes: 0 };
    tell({ fault: 'F17 hostile keys, tags, patterns, ids', rounds: 1, ...row });
    expect({ seed, bad: fuzzed.bad, unhandled: seen.unhandled }).toEqual({ seed, bad: [], unhandled: 0 });
    expect(await readdir(dirname(directory))).toEqual(['cache']);
    expect((await readdir(directory)).toSorted()).toEqual(
      expect.arrayContaining(['.gitignore', 'checkpoints', 'claims', 'l3', 'sessions']),
    );
  }, 1_800_000);

  it.each(['SIGTERM', 'exit', 'close', 'throw'] as const)(
    'keeps what was acknowledged when the app is killed under load (%s)',
    async (how) => {
      const rounds = roundsOf(1, 20);
      const sum = { calls: 0, wrong: 0, lost: 0, crashes: 0, recoveredInMs: 0 };
      for (let round = 0; round < rounds; round++) {
        const directory = await bench.path('cache');
        const acknowledged = nothingYet();
        const app = await FaultChild.start(workshop, { directory }, acknowledged);
        await app.ask('start', { keys: 200 });
        await app.hear(20 + round);
        const startedAt = performance.now();
        let status: number | string = 0;
        if (how === 'SIGTERM') status = await app.end('SIGTERM');
        else {
          const go = {
            exit: 'process.exit(7)',
            throw: 'setImmediate(() => { throw new Error("on purpose") })',
            close: 'await cache.close(); process.exit(7)',
          }[how];
          app.child.say(JSON.stringify(['run', go]));
          status = await app.end();
        }
        expect(status).toBe(how === 'SIGTERM' ? 'SIGTERM' : how === 'throw' ? 1 : 7);
        sum.recoveredInMs = Math.max(sum.recoveredInMs, performance.now() - startedAt);
        const after = await FaultChild.start(workshop, { directory }, acknowledged);
        const seen = await after.ask('check', { invalidated: [...acknowledged.invalidated], keys: 200 });
        for (const [name, n] of acknowledged.saved) {
          const [id, version] = name.split(' ');
          if ((await after.ask('restore', id, Number(version))) !== n) sum.lost++;
        }
        expect(await after.ask('events')).toEqual([]);
        sum.calls += seen.calls;
        sum.wrong += badOf(seen);
        await after.end('SIGKILL');
      }
      tell({ fault: `F18 going down in full flight (${how})`, rounds, ...sum });
      expect(sum).toMatchObject({ wrong: 0, lost: 0, crashes: 0 });
    },
    1_800_000,
  );
});
