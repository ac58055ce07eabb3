import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { CacheManager } from '../../lib/app/cache-app.js';
import { seededRandom } from '../../lib/testing/seeded-random.js';
import { Workshop, type Child } from '../support/child-process.js';
import { roundsOf } from '../support/fault-table.js';
import { StorageBench } from '../support/storage.js';

/** In full: 4 processes with 50 callers of 100 steps. */
const SCALE = roundsOf(10, 100);
const PROCESSES = SCALE === 100 ? 4 : 3;
const CALLERS = Math.ceil(SCALE / 2);
const KILLS = SCALE === 100 ? 8 : 2;

/** Each caller wants all steps, in an order of its own. Prints which step it runs, and what each caller got. */
const WORKER = `
import { CacheManager } from './lib/app/cache-app.js';
const [directory, name, exclusive, callers, steps] = process.argv.slice(2);
const cache = await CacheManager.fromSettings({ directory, logger: false, storage: { minFreeBytes: 0, sweepEvery: false, deadline: '30s' } });
const say = (...words) => process.stdout.write(words.join(' ') + '\\n');
say('ready');
const step = async (n) => {
  say('ran', n);
  await new Promise((resolve) => setTimeout(resolve, 1 + ((n * 7) % 5)));
  return name + ':' + Math.random();
};
/** Two owners may be killed during one call. The error says that the next call tries again. */
const want = (n) =>
  cache.snapshots.runStep('step ' + n, () => step(n), { workflow: 'race', step: n, exclusive: exclusive === 'true' }).catch((error) => {
    if (error.code !== 'CHECKPOINTS_UNAVAILABLE') throw error;
    return want(n);
  });
const caller = async (who) => {
  for (let i = 0; i < Number(steps); i++) {
    const n = (i * 7 + who * 13) % Number(steps);
    say('got', n, await want(n));
  }
};
await Promise.all(Array.from({ length: Number(callers) }, (_, who) => caller(who)));
say('done');
await cache.close();
`;

/** Holds the lease on a step until it is asked to end it. */
const HOLDER = `
import { once } from 'node:events';
import { CacheManager } from './lib/app/cache-app.js';
const [directory] = process.argv.slice(2);
const cache = await CacheManager.fromSettings({ directory, logger: false, storage: { minFreeBytes: 0 } });
const hold = async () => {
  process.stdout.write('holds\\n');
  await once(process.stdin, 'data');
  return 'of the frozen one';
};
process.stdout.write((await cache.snapshots.runStep('step', hold, { exclusive: true })) + '\\n');
await cache.close();
process.exit();
`;

interface Life {
  readonly child: Child;
  isKilled: boolean;
  lines: readonly string[];
}

describe('steps that many callers of many processes want', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()), 60_000);
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  const race = async (exclusive: boolean, random: (below: number) => number): Promise<readonly Life[]> => {
    const directory = await bench.path('cache');
    const lives: Life[] = [];
    const start = async (): Promise<Life> => {
      const args = [directory, `p${lives.length}`, String(exclusive), String(CALLERS), String(SCALE)];
      const life: Life = { child: await workshop.run(WORKER, args), isKilled: false, lines: [] };
      lives.push(life);
      return life;
    };
    for (let n = 0; n < PROCESSES; n += 1) await start();
    for (let kill = 0; kill < KILLS; kill += 1) {
      const alive = lives.filter(({ isKilled, child }) => !isKilled && !child.hasEnded);
      const victim = alive[random(alive.length)];
      if (victim === undefined) break;
      const heard: string[] = [];
      const wanted = 1 + random(SCALE);
      while (heard.length < wanted) {
        const line = await victim.child.line().catch(() => undefined);
        if (line === undefined) break;
        heard.push(line);
      }
      victim.isKilled = !victim.child.hasEnded;
      victim.lines = [...heard, ...(await victim.child.end('SIGKILL')).lines];
      await start();
    }
    for (const life of lives.filter(({ isKilled }) => !isKilled)) {
      const { status, lines } = await life.child.end();
      life.lines = [...life.lines, ...lines];
      expect({ status, errors: life.child.errors }).toEqual({ status: 0, errors: '' });
    }
    const cache = await CacheManager.fromSettings({ directory, logger: false, storage: { minFreeBytes: 0 } });
    for (let n = 0; n < SCALE; n += 1) {
      const results = new Set(lives.flatMap(({ lines }) => gotOf(lines, n)));
      expect([n, results.size, await cache.snapshots.restoreCheckpoint(`step ${n}`)]).toEqual([n, 1, [...results][0]]);
      expect(await cache.snapshots.history(`step ${n}`)).toHaveLength(1);
    }
    await cache.close();
    return lives;
  };

  /** Runs that a kill did not cut off before their result was saved. */
  const wholeRuns = (lives: readonly Life[], n: number): number =>
    lives
      .map(({ lines, isKilled }) => {
        const runs = lines.filter((line) => line === `ran ${n}`).length;
        return isKilled && gotOf(lines, n).length === 0 ? Math.max(0, runs - 1) : runs;
      })
      .reduce((sum, runs) => sum + runs, 0);

  it(
    'end in every caller with the one saved result, though processes are killed',
    async () => {
      const random = numbers('races of steps');
      const lives = await race(false, random);
      for (const { lines, isKilled } of lives) if (!isKilled) expect(lines.at(-1)).toBe('done');
    },
    120_000 + SCALE * 5_000,
  );

  it('pass on the lease of a process that is frozen, which then ends with the result of the next one', async () => {
    const directory = await bench.path('cache');
    const cache = await CacheManager.fromSettings({ directory, logger: false, storage: { minFreeBytes: 0 } });
    const holder = await workshop.run(HOLDER, [directory]);
    expect(await holder.line()).toBe('holds');
    holder.signal('SIGSTOP');
    expect(await cache.snapshots.runStep('step', () => 'of the next one', { exclusive: true })).toBe('of the next one');
    holder.signal('SIGCONT');
    holder.say('end');
    expect(await holder.line()).toBe('of the next one');
    expect(await cache.snapshots.history('step')).toHaveLength(1);
    expect(await holder.end()).toMatchObject({ status: 0 });
    await cache.close();
  });

  it(
    'run once where they are exclusive, but for those that a kill cut off',
    async () => {
      const random = numbers('races of exclusive steps');
      const lives = await race(true, random);
      for (let n = 0; n < SCALE; n += 1)
        expect([n, wholeRuns(lives, n)]).toEqual([n, Math.min(1, wholeRuns(lives, n))]);
    },
    120_000 + SCALE * 5_000,
  );
});

/** Whole numbers below a limit, from a seed that is printed. */
function numbers(what: string): (below: number) => number {
  const seed = Date.now() % 2 ** 31;
  process.stdout.write(`${what}: seed ${seed}\n`);
  const next = seededRandom(seed);
  return (below) => Math.floor(next() * below);
}

const gotOf = (lines: readonly string[], n: number): readonly string[] =>
  lines.flatMap((line) => {
    const [what, step, result = ''] = line.split(' ');
    return what === 'got' && step === String(n) && result.includes('.') ? [result] : [];
  });
