import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type Child, Workshop } from '../support/child-process.js';
import { until } from '../support/gate.js';
import { StorageBench } from '../support/storage.js';

/**
 * A process of the directory. On the line `keys ms` it asks for all keys at once, on `many keys ms` by one call. It writes a line
 * for each computation that begins, for each value that is not stored, and at last what it got.
 */
const WORKER = `
import { createInterface } from 'node:readline';
import { createLaneCache } from './lib/app/cache-app.js';
import { LaneAwareCacheStrategy } from './lib/lanes/strategy.js';
/** Stops the process after it has found that it still has the turn, and before it stores the value. */
class Stopping extends LaneAwareCacheStrategy {
  shouldCache({ key }) {
    if (key === 'late' && isToStop) {
      console.log('stops');
      process.kill(process.pid, 'SIGSTOP');
    }
    return true;
  }
}
let isToStop = false;
const [directory] = process.argv.slice(2);
const app = await createLaneCache({
  directory, logger: false, storage: { minFreeBytes: 0 }, lanes: { standard: { ttl: '1h', l4: { coalesce: 'host' }, strategy: new Stopping() } },
});
const cache = app.manager();
cache.events.on('refuse', ({ key, reason }) => console.log('refused ' + key + ' ' + reason));
console.log(app.metrics.report().host?.role ?? 'none');
const ask = (key, ms) => cache.getOrSet(key, async () => {
  console.log('computing ' + key);
  await new Promise((resolve) => setTimeout(resolve, ms));
  return key + ' of ' + process.pid;
});
const many = async (keys, ms) => JSON.stringify([...await cache.getOrSetMany(keys, async (missing) => {
  for (const key of missing) console.log('computing ' + key);
  await new Promise((resolve) => setTimeout(resolve, ms));
  return new Map(missing.map((key) => [key, key + ' of ' + process.pid]));
})].toSorted());
let release;
const released = new Promise((resolve) => (release = resolve));
const circle = (outer, inner) => cache.getOrSet(outer, async () => {
  console.log('computing ' + outer);
  await released;
  return outer + ' of ' + await cache.getOrSet(inner, () => circle(outer, inner), { hardTimeout: '2s' });
}, { hardTimeout: '2s' });
const work = async ([what, ...rest]) => {
  if (what === 'stop') isToStop = true;
  if (what === 'offers') return JSON.stringify(app.metrics.report().host.offers);
  if (what === 'warm') return JSON.stringify(await cache.warm(rest, async (key) => (console.log('computing ' + key), key)));
  if (what === 'circle') return circle(...rest).then(() => 'value', ({ code }) => code);
  if (what === 'many') return many(rest[0].split(','), Number(rest[1]));
  const [ms] = rest;
  return JSON.stringify(await Promise.all(what.split(',').map((key) => ask(key, Number(ms)))));
};
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'go on') release();
  else work(line.split(' ')).then((answer) => console.log('got ' + answer));
}
await app.close();
process.exit();
`;

interface Answer {
  readonly computing: readonly string[];
  readonly refused: readonly string[];
  readonly got: string;
}

async function answerOf(child: Child): Promise<Answer> {
  const computing: string[] = [];
  const refused: string[] = [];
  for (;;) {
    const line = await child.line();
    if (line.startsWith('got ')) return { computing, refused, got: line.slice(4) };
    if (line.startsWith('computing ')) computing.push(line.slice(10));
    else refused.push(line);
  }
}

const allOf = (answers: readonly Answer[]): readonly string[] => answers.flatMap(({ computing }) => computing);

describe("processes of one directory with coalesce: 'host'", () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  let directory: string;
  let owner: Child;
  /** The first of them computes. */
  let others: readonly [Child, Child, Child];

  const start = async (): Promise<Child> => {
    const child = await workshop.run(WORKER, [directory]);
    await child.line();
    return child;
  };

  beforeAll(async () => void (workshop = await Workshop.build()), 60_000);
  // A directory for each try: a second one would find what the first one has stored, and processes that wait, or are stopped.
  beforeEach(async () => {
    directory = await bench.path('cache');
    owner = await start();
    others = await Promise.all([start(), start(), start()]);
  }, 60_000);
  afterEach(async () => {
    await Promise.all([owner, ...others].map((child) => child.end('SIGKILL')));
    await bench.dispose();
  });
  afterAll(() => workshop.dispose());

  it('compute each of twenty keys once, and all get the same values; warming takes the same turns', async () => {
    const keys = Array.from({ length: 20 }, (_, index) => `key-${index}`);
    const all = [owner, ...others];
    for (const child of all) child.say(`${keys.join()} 300`);
    const answers = await Promise.all(all.map(answerOf));
    expect(allOf(answers).toSorted()).toEqual(keys.toSorted());
    expect(new Set(answers.map(({ got }) => got)).size).toBe(1);
    for (const child of all) child.say('warm a b c d');
    const warmed = await Promise.all(all.map(answerOf));
    expect(allOf(warmed).toSorted()).toEqual(['a', 'b', 'c', 'd']);
  }, 60_000);

  it('go on at once when the one that computes is killed', async () => {
    const [holder, second, third] = others;
    holder.say('killed 100000');
    expect(await holder.line()).toBe('computing killed');
    for (const child of [second, third]) child.say('killed 50');
    await holder.end('SIGKILL');
    const answers = await Promise.all([second, third].map(answerOf));
    expect(allOf(answers)).toEqual(['killed']);
    expect(new Set(answers.map(({ got }) => got)).size).toBe(1);
  }, 60_000);

  it('compute at once what no other one does, and the rest once the one that computes it is killed', async () => {
    const [holder, second, third] = others;
    const keysOf = (name: string, count: number): readonly string[] =>
      Array.from({ length: count }, (_, index) => `${name}-${index}`);
    const linesOf = async (child: Child, names: readonly string[]): Promise<void> => {
      const lines: string[] = [];
      while (lines.length < names.length) lines.push(await child.line());
      expect(lines.toSorted()).toEqual(names.map((name) => `computing ${name}`).toSorted());
    };
    const held = keysOf('held', 40);
    holder.say(`many ${held.join()} 100000`);
    await linesOf(holder, held);
    second.say(`many ${[...held, ...keysOf('second', 10)].join()} 50`);
    third.say(`many ${[...keysOf('third', 10), ...held.toReversed()].join()} 50`);
    await linesOf(second, keysOf('second', 10));
    await linesOf(third, keysOf('third', 10));
    await holder.end('SIGKILL');
    const answers = await Promise.all([second, third].map(answerOf));
    expect(allOf(answers).toSorted()).toEqual(held.toSorted());
    const values = answers.map(({ got }) => got.match(/"held-\d+ of \d+"/gu));
    expect(values[0]).toHaveLength(held.length);
    expect(values[1]).toEqual(values[0]);
  }, 60_000);

  it('go on when the one that computes is stopped, whose value is not stored afterwards', async () => {
    const [holder, second, third] = others;
    holder.say('stopped 500');
    expect(await holder.line()).toBe('computing stopped');
    holder.signal('SIGSTOP');
    for (const child of [second, third]) child.say('stopped 50');
    const answers = await Promise.all([second, third].map(answerOf));
    expect(allOf(answers)).toEqual(['stopped']);
    holder.signal('SIGCONT');
    const late = await answerOf(holder);
    expect(late.refused).toEqual(['refused stopped fenced']);
    // What it finds now is the value of the others.
    for (const child of [holder, owner]) {
      child.say('stopped 50');
      expect(await answerOf(child)).toEqual({ computing: [], refused: [], got: answers[0]?.got });
    }
  }, 60_000);

  it('refuse the value of one that was stopped after it had found that it still has the turn', async () => {
    const [holder, second, third] = others;
    const refused = async (): Promise<number> => {
      owner.say('offers');
      return JSON.parse((await answerOf(owner)).got).refused;
    };
    const before = await refused();
    holder.say('stop 0');
    await answerOf(holder);
    holder.say('late 10');
    expect([await holder.line(), await holder.line()]).toEqual(['computing late', 'stops']);
    second.say('late 50');
    const next = await answerOf(second);
    expect(next.computing).toEqual(['late']);
    holder.signal('SIGCONT');
    await answerOf(holder);
    await until(async () => (await refused()) !== before);
    // It has not been in memory there.
    third.say('late 50');
    expect(await answerOf(third)).toEqual({ computing: [], refused: [], got: next.got });
  }, 60_000);

  it('end a circle of keys across two of them', async () => {
    const [one, other] = others;
    one.say('circle left right');
    other.say('circle right left');
    // Both hold their first key before one of them asks for the other's.
    expect([await one.line(), await other.line()]).toEqual(['computing left', 'computing right']);
    for (const child of [one, other]) child.say('go on');
    const answers = await Promise.all([one, other].map(answerOf));
    // The first one that gives up frees its key, so that the other one may get its value.
    for (const { got } of answers) expect(['value', 'COMPUTE_TIMEOUT', 'REENTRANT']).toContain(got);
  }, 60_000);

  it('compute by themselves while the owner is stopped', async () => {
    const [one, other] = others;
    owner.signal('SIGSTOP');
    for (const child of [one, other]) child.say('alone 50');
    const answers = await Promise.all([one, other].map(answerOf));
    expect(allOf(answers)).toEqual(['alone', 'alone']);
  }, 60_000);

  it('go on when the owner is killed, and take turns at the next one', async () => {
    const [holder, second] = others;
    holder.say('orphaned 1500');
    expect(await holder.line()).toBe('computing orphaned');
    second.say('orphaned 50');
    await owner.end('SIGKILL');
    expect((await answerOf(second)).got).toContain('orphaned of');
    expect((await answerOf(holder)).got).toContain('orphaned of');
    owner = await start();
    const all = [owner, ...others];
    const keys = ['x', 'y', 'z'];
    for (let round = 0; ; round++) {
      // Until all of them have found the next owner.
      const asked = keys.map((key) => `${key}${round}`);
      for (const child of all) child.say(`${asked.join()} 300`);
      const answers = await Promise.all(all.map(answerOf));
      if (allOf(answers).length > keys.length && round < 10) continue;
      expect(allOf(answers).toSorted()).toEqual(asked);
      break;
    }
  }, 60_000);
});
