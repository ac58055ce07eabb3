import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Workshop } from '../support/child-process.js';
import { StorageBench } from '../support/storage.js';

const ROUNDS = Number(process.env['LANE_CACHE_ROUNDS'] ?? 1);

/** Opens the directory, says what is served of the round before, fills it anew, invalidates, says so, and waits for its end. */
const APP = `
import { CacheManager } from './lib/app/cache-app.js';
const [directory, round, how] = process.argv.slice(2);
const cache = await CacheManager.fromSettings({ directory, logger: false });
const keys = Array.from({ length: 50 }, (_, n) => 'k' + n);
const served = await cache.getMany(keys);
console.log(JSON.stringify([...served.values()]));
const old = 'old ' + round;
for (const key of keys) await cache.getOrSet(key, () => old, { tags: ['t'] });
await cache.flush();
const say = {
  invalidate: () => Promise.all(keys.map((key) => cache.invalidate(key))),
  invalidateByTag: () => cache.invalidateByTag('t'),
  invalidateByPattern: () => cache.invalidateByPattern('t:*'),
  clearAll: () => cache.clearAll(),
  set: () => Promise.all(keys.map((key) => cache.set(key, 'new'))),
  expireByTag: () => cache.expireByTag('t'),
  nothing: () => Promise.resolve(),
};
await say[how]();
console.log('said');
await new Promise((resolve) => setTimeout(resolve, 60_000));
`;

describe('a process that is killed as soon as an invalidation was acknowledged', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()), 60_000);
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  it.each(['invalidate', 'invalidateByTag', 'invalidateByPattern', 'clearAll', 'set', 'expireByTag'])(
    `leaves nothing that is served after the restart: %s, ${ROUNDS} rounds`,
    async (how) => {
      const directory = await bench.path();
      for (let round = 0; round <= ROUNDS; round++) {
        const child = await workshop.run(APP, [directory, String(round), how]);
        const served = JSON.parse(await child.line()) as string[];
        expect(served.filter((value) => value.startsWith('old'))).toEqual([]);
        expect(await child.line()).toBe('said');
        await child.end('SIGKILL');
      }
    },
    60_000 + ROUNDS * 10_000,
  );

  it('leaves everything that was not invalidated', async () => {
    const directory = await bench.path();
    const first = await workshop.run(APP, [directory, '0', 'nothing']);
    expect([await first.line(), await first.line()]).toEqual(['[]', 'said']);
    await first.end('SIGKILL');
    const second = await workshop.run(APP, [directory, '1', 'nothing']);
    expect(JSON.parse(await second.line())).toEqual(Array.from({ length: 50 }, () => 'old 0'));
    await second.end('SIGKILL');
  }, 60_000);
});
