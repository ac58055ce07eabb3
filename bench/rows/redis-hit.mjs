import KeyvRedis from '@keyv/redis';
import { BentoCache, bentostore } from 'bentocache';
import { redisDriver } from 'bentocache/drivers/redis';
import { createCache } from 'cache-manager';
import { Keyv } from 'keyv';
import { createClient, RESP_TYPES } from 'redis';
import { CacheManager } from '../library.mjs';
import { atMost, row, withheld } from '../row.mjs';
import { race } from '../race.mjs';
import { startServer } from '../servers.mjs';
import { redisLog } from './redis-log.mjs';
import { keys, oneKilobyte, scattered } from '../values.mjs';

const COUNT = 2_000;
const AT_ONCE = 32;
const TTL_MS = 600_000;
const KEYS = keys(COUNT, 'document');
const PREFIX = `bench-${process.pid}`;
const keyAt = (index) => KEYS[scattered(index, COUNT)];

/** Hits in Redis: 1 KB values, memory too small to answer, 32 at a time. Then the shared log. */
export async function redis(scratch) {
  return [await hit(scratch), await redisLog(scratch)].flat();
}

async function hit(scratch) {
  const url = process.env.REDIS_URL ?? (await startServer(scratch))?.url;
  const title = 'L4 hit, 1 KB value, 32 at a time';
  if (url === undefined)
    return row(title, 'ns', new Map(), [
      withheld('a bare client GET', 'redis-server is not on PATH, and REDIS_URL is not set'),
    ]);
  const l4 = await ours(scratch, url);
  const bare = await bareGet(scratch, url);
  const took = await race([l4, bare, await bentoRedis(scratch, url), await keyvRedis(scratch, url)]);
  l4.check();
  return row(title, 'ns', took, [atMost(took.get(l4.name), took.get(bare.name), 1.5, 'a bare client GET')]);
}

async function ours(scratch, url) {
  const off = { enabled: false };
  const lane = { l1: { maxEntries: 1 }, l2: off, l3: off };
  const cache = await CacheManager.fromSettings({
    lane: 'shared',
    directory: false,
    lanes: { shared: lane },
    distributed: { url, prefix: PREFIX, commandTimeout: '5s' },
  });
  scratch.onEnd(() => cache.close());
  await cache.setMany(KEYS.map((key, index) => [key, oneKilobyte(index)]));
  await cache.flush();
  let asked = 0;
  const turn = (index) => {
    asked += AT_ONCE;
    return batch(index, (key) => cache.getOrSet(key, () => oneKilobyte(index)));
  };
  const check = () => {
    const { l1, l4 } = cache.getMetrics();
    if (l1.hits + l4.hits < asked * 0.99) throw new Error(`${l4.hits} hits in ${asked} requests`);
  };
  return { name: 'lane-cache L4', turn, check };
}

/** The very entries that the cache has laid there; nothing is decoded. */
async function bareGet(scratch, url) {
  const client = createClient({ url });
  await client.connect();
  scratch.onEnd(() => client.close());
  const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const names = [];
  for await (const some of client.scanIterator({ MATCH: `{${PREFIX}}:e:*`, COUNT: 1_000 })) names.push(...some);
  if (names.length !== COUNT) throw new Error(`${names.length} entries on the server, and not ${COUNT}`);
  const nameAt = (key) => names[scattered(key, COUNT)];
  const turn = (index) =>
    Promise.all(Array.from({ length: AT_ONCE }, (_, at) => bytes.get(nameAt(index * AT_ONCE + at))));
  return { name: 'node-redis GET', turn };
}

async function bentoRedis(scratch, url) {
  const { hostname, port } = new URL(url);
  const connection = { host: hostname, port: Number(port) };
  const store = bentostore().useL2Layer(redisDriver({ connection, prefix: `bench-bento-${process.pid}` }));
  const bento = new BentoCache({ default: 'redis', stores: { redis: store } });
  scratch.onEnd(() => bento.disconnectAll());
  await Promise.all(KEYS.map((key, index) => bento.set({ key, value: oneKilobyte(index), ttl: TTL_MS })));
  return { name: 'bentocache redis', turn: (index) => batch(index, (key) => bento.get({ key })) };
}

async function keyvRedis(scratch, url) {
  const store = new KeyvRedis(url, { namespace: `bench-keyv-${process.pid}` });
  const cache = createCache({ stores: [new Keyv({ store, useKeyPrefix: false })], ttl: TTL_MS });
  scratch.onEnd(() => cache.disconnect());
  await Promise.all(KEYS.map((key, index) => cache.set(key, oneKilobyte(index))));
  const get = (key, index) => cache.wrap(key, async () => oneKilobyte(index));
  return { name: 'cache-manager + @keyv/redis', turn: (index) => batch(index, (key) => get(key, index)) };
}

const batch = (index, get) => Promise.all(Array.from({ length: AT_ONCE }, (_, at) => get(keyAt(index * AT_ONCE + at))));
