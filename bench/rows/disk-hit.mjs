import { BentoCache, bentostore } from 'bentocache';
import { fileDriver } from 'bentocache/drivers/file';
import { createCache } from 'cache-manager';
import { Keyv } from 'keyv';
import { open } from 'lmdb';
import { CacheManager } from '../library.mjs';
import { race } from '../race.mjs';
import { atMost, fasterThan, row, withheld } from '../row.mjs';
import { keys, oneKilobyte, scattered } from '../values.mjs';

const COUNT = 5_000;
const KEYS = keys(COUNT, 'document');
const TTL_MS = 600_000;
const keyAt = (index) => KEYS[scattered(index, COUNT)];

/** Hits on disk: 1 KB values, 5,000 keys, memory too small to answer. */
export async function diskHit(scratch) {
  const sqlite = await keyvSqlite(scratch);
  const [l2, l3] = [await ours(scratch, 'l2'), await ours(scratch, 'l3')];
  const contestants = [l2, l3, await rawLmdb(scratch), await bentoFile(scratch), ...(sqlite ? [sqlite] : [])];
  const took = await race(contestants);
  for (const tier of [l2, l3]) tier.check();
  return row('L2 / L3 hit, 1 KB value, 5,000 keys', 'ns', took, [
    ...barsOf('L2', took.get(l2.name), took),
    ...barsOf('L3', took.get(l3.name), took),
  ]);
}

function barsOf(tier, own, took) {
  const sqlite = took.get('cache-manager + @keyv/sqlite');
  return [
    atMost(own, took.get('lmdb get'), 2, `raw lmdb get (${tier})`),
    fasterThan(own, took.get('bentocache file'), 25, `bentocache's file driver (${tier})`),
    sqlite === undefined
      ? withheld(`cache-manager + @keyv/sqlite (${tier})`, 'its native part could not be installed here')
      : fasterThan(own, sqlite, 15, `cache-manager + @keyv/sqlite (${tier})`),
  ];
}

async function ours(scratch, tier) {
  const disk = { enabled: true, maxEntries: 2 * COUNT };
  const off = { enabled: false };
  const lane = { l1: { maxEntries: 1 }, l2: tier === 'l2' ? disk : off, l3: tier === 'l3' ? disk : off };
  const cache = await CacheManager.fromSettings({
    lane: 'disk',
    directory: scratch.directory(),
    lanes: { disk: lane },
  });
  scratch.onEnd(() => cache.close());
  await cache.setMany(KEYS.map((key, index) => [key, oneKilobyte(index)]));
  await cache.flush();
  let asked = 0;
  const turn = (index) => {
    asked += 1;
    return cache.getOrSet(keyAt(index), () => oneKilobyte(index));
  };
  const check = () => {
    const { [tier]: served } = cache.getMetrics();
    if (served.hits < asked * 0.99) throw new Error(`${tier}: ${served.hits} hits in ${asked} requests`);
  };
  return { name: `nestjs-lane-cache ${tier}`, turn, check };
}

async function rawLmdb(scratch) {
  const database = open({ path: scratch.directory(), cache: false, overlappingSync: false });
  scratch.onEnd(() => database.close());
  await Promise.all(KEYS.map((key, index) => database.put(key, oneKilobyte(index))));
  return { name: 'lmdb get', turn: async (index) => database.get(keyAt(index)) };
}

async function bentoFile(scratch) {
  const store = bentostore().useL2Layer(fileDriver({ directory: scratch.directory(), pruneInterval: false }));
  const cache = new BentoCache({ default: 'file', stores: { file: store } });
  scratch.onEnd(() => cache.disconnectAll());
  for (const [index, key] of KEYS.entries()) await cache.set({ key, value: oneKilobyte(index), ttl: TTL_MS });
  const turn = (index) => cache.getOrSet({ key: keyAt(index), ttl: TTL_MS, factory: () => oneKilobyte(index) });
  return { name: 'bentocache file', turn };
}

/** Its native part needs a download or a compiler, so it may be missing. */
async function keyvSqlite(scratch) {
  let KeyvSqlite;
  try {
    ({ default: KeyvSqlite } = await import('@keyv/sqlite'));
  } catch {
    return undefined;
  }
  const store = new KeyvSqlite(`sqlite://${scratch.directory()}/cache.sqlite`);
  const cache = createCache({ stores: [new Keyv({ store })], ttl: TTL_MS });
  scratch.onEnd(() => cache.disconnect());
  for (let from = 0; from < COUNT; from += 100) {
    await cache.mset(KEYS.slice(from, from + 100).map((key, index) => ({ key, value: oneKilobyte(from + index) })));
  }
  return {
    name: 'cache-manager + @keyv/sqlite',
    turn: (index) => cache.wrap(keyAt(index), async () => oneKilobyte(index)),
  };
}
