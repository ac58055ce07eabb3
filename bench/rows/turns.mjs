import { CacheManager } from '../library.mjs';
import { median } from '../race.mjs';
import { atMost, row } from '../row.mjs';
import { oneKilobyte } from '../values.mjs';

const ROUNDS = 9;
const REQUESTS = 500;

/** One request per turn of the event loop, as a server sees them, each with a fresh key, up to the end of `flush()`. */
export async function turns(scratch) {
  const small = await beside(scratch, 'standard', oneKilobyte);
  const documents = await beside(scratch, 'docs', documentOf);
  return [
    row('one request per turn, 1 KB, L1 to L3 on, nine rounds of 500', 'us', small, [
      atMost(small.get('with a disk'), small.get('without a disk'), 1.5, 'the same turns without a disk'),
    ]),
    row('one document of 20 KB per turn, docs lane, nine rounds of 500', 'us', documents, []),
  ];
}

async function beside(scratch, lane, valueOf) {
  const contestants = [
    { name: 'with a disk', cache: await CacheManager.fromSettings({ lane, directory: scratch.directory() }) },
    { name: 'without a disk', cache: await CacheManager.fromSettings({ lane, directory: false }) },
  ];
  const took = new Map(contestants.map(({ name }) => [name, []]));
  for (const { cache } of contestants) scratch.onEnd(() => cache.close());
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, cache } of contestants) {
      const startedAt = performance.now();
      for (let index = 0; index < REQUESTS; index++) {
        await cache.getOrSet(`${round}:${index}`, () => valueOf(index));
        await nextTurn();
      }
      await cache.flush();
      took.get(name).push(((performance.now() - startedAt) / REQUESTS) * 1e3);
    }
  }
  return new Map([...took].map(([name, all]) => [name, median(all)]));
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

function documentOf(index) {
  const body = `Chapter ${index} of a text that repeats itself as prose does. `.repeat(330);
  return { index, title: `Document ${index}`, body, headings: Array.from({ length: 20 }, (_, at) => `Part ${at}`) };
}
