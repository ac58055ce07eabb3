// Who serves what had been invalidated? Five races, played the same way against every cache: something is computed or
// renewed, it is invalidated meanwhile, the invalidation is awaited, and then somebody asks.
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { createCache } from 'cache-manager';
import { Cacheable } from 'cacheable';
import { CacheManager } from './library.mjs';

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What each cache calls what the races need; `undefined` where it has no such thing. */
const CACHES = [
  async () => {
    const cache = await CacheManager.fromSettings({ directory: false, logger: false });
    return {
      name: 'nestjs-lane-cache',
      getOrSet: (key, compute, { tags = [] } = {}) => cache.getOrSet(key, compute, { tags }),
      getOrSetLateTag: (key, compute, tag) =>
        cache.getOrSet(key, async (ctx) => {
          const value = await compute();
          ctx.setTags([tag]);
          return value;
        }),
      getOrRenew: (key, compute) => cache.getOrSet(key, compute, { ttl: '200ms', refreshAhead: 0.25 }),
      remove: (key) => cache.invalidate(key),
      removeTag: (tag) => cache.invalidateByTag(tag),
      clear: () => cache.clearAll(),
      close: () => cache.close(),
    };
  },
  async () => {
    const cache = new BentoCache({ default: 'it', stores: { it: bentostore().useL1Layer(memoryDriver({})) } });
    return {
      name: 'bentocache',
      getOrSet: (key, factory, { tags = [] } = {}) => cache.getOrSet({ key, factory, tags, ttl: '1h' }),
      getOrSetLateTag: (key, compute, tag) =>
        cache.getOrSet({
          key,
          ttl: '1h',
          factory: async (ctx) => {
            const value = await compute();
            ctx.setTags([tag]);
            return value;
          },
        }),
      getOrRenew: (key, factory) => cache.getOrSet({ key, factory, ttl: '50ms', grace: '1h', timeout: 0 }),
      remove: (key) => cache.delete({ key }),
      removeTag: (tag) => cache.deleteByTag({ tags: [tag] }),
      clear: () => cache.clear(),
      close: () => cache.disconnect(),
    };
  },
  async () => {
    const cache = new Cacheable({ ttl: '1h', tags: true });
    return {
      name: 'cacheable',
      getOrSet: (key, compute) => cache.getOrSet(key, compute, { ttl: '1h' }),
      remove: (key) => cache.delete(key),
      clear: () => cache.clear(),
      close: () => cache.disconnect(),
    };
  },
  async () => {
    const cache = createCache({ ttl: 3_600_000 });
    return {
      name: 'cache-manager',
      getOrSet: (key, compute) => cache.wrap(key, compute),
      getOrRenew: (key, compute) => cache.wrap(key, compute, { ttl: 200, refreshThreshold: 150 }),
      remove: (key) => cache.del(key),
      clear: () => cache.clear(),
      close: () => cache.disconnect(),
    };
  },
];

/** Each resolves to what somebody gets who asks after the invalidation, or undefined if the cache cannot play. */
const RACES = {
  'a key is deleted while it is computed': ({ getOrSet, remove }) => meanwhile(getOrSet, remove && (() => remove('k'))),
  'its tag is invalidated while it is computed': ({ getOrSet, removeTag }) =>
    meanwhile(getOrSet, removeTag && (() => removeTag('t')), { tags: ['t'] }),
  'everything is cleared while it is computed': ({ getOrSet, clear }) => meanwhile(getOrSet, clear),
  'it is deleted while it is renewed in the background': async ({ getOrRenew, remove }) => {
    if (getOrRenew === undefined) return undefined;
    let source = 'before';
    await getOrRenew('k', () => source);
    await pause(80);
    let release;
    const slow = new Promise((resolve) => (release = resolve));
    await getOrRenew('k', async () => {
      const read = source;
      await slow;
      return read;
    });
    source = 'after';
    await remove('k');
    release();
    await pause(20);
    return getOrRenew('k', () => source);
  },
  'a tag that it sets at its end is invalidated before': ({ getOrSetLateTag, removeTag }) =>
    getOrSetLateTag &&
    meanwhile(
      (key, compute) => getOrSetLateTag(key, compute, 't'),
      () => removeTag('t'),
    ),
};

async function meanwhile(getOrSet, invalidate, options) {
  if (invalidate === undefined) return undefined;
  let source = 'before';
  let release;
  const slow = new Promise((resolve) => (release = resolve));
  const first = getOrSet(
    'k',
    async () => {
      const read = source;
      await slow;
      return read;
    },
    options,
  );
  await pause(10);
  source = 'after';
  await invalidate();
  await pause(10);
  release();
  await first;
  return getOrSet('k', () => source, options);
}

const rows = [];
for (const [race, play] of Object.entries(RACES)) {
  const row = { race };
  for (const create of CACHES) {
    const cache = await create();
    const served = await play(cache);
    row[cache.name] = served === undefined ? '-' : served === 'after' ? 'fresh' : 'STALE';
    await cache.close();
  }
  rows.push(row);
}
const names = Object.keys(rows[0]);
const widths = names.map((name) => Math.max(...[name, ...rows.map((row) => row[name])].map((cell) => cell.length)));
for (const cells of [names, ...rows.map((row) => names.map((name) => row[name]))])
  console.log(cells.map((cell, at) => cell.padEnd(widths[at])).join('  '));
