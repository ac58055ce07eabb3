import { afterEach, describe, expect, it } from '@jest/globals';
import {
  CacheManager,
  defineLane,
  isLaneCacheError,
  LaneCacheError,
  parseDuration,
  parseSize,
} from '../../lib/index.js';
import { Caches } from '../support/caches.js';

type Call = (cache: CacheManager) => unknown;

const caches = new Caches();
afterEach(() => caches.close());

async function refusalOf(call: Call): Promise<LaneCacheError> {
  const cache = await caches.open();
  try {
    await call(cache);
  } catch (error) {
    if (isLaneCacheError(error)) return error;
    throw error;
  }
  throw new Error('It was accepted.');
}

/** A value of a wrong type, as JavaScript callers may pass. */
const wrong = (value: unknown): never => value as never;
const one = (): number => 1;

describe('a bad call', () => {
  it.each<[string, Call, string, object, RegExp]>([
    [
      'a lane nobody defined',
      (cache) => cache.forLane('marble'),
      'LANE_UNKNOWN',
      { lane: 'marble' },
      /docs, standard, heavy/,
    ],
    ['no name for a lane', (cache) => cache.forLane(wrong(undefined)), 'LANE_UNKNOWN', {}, /Known lanes/],
    ['a lane named like a property', (cache) => cache.forLane('__proto__'), 'LANE_UNKNOWN', {}, /Known lanes/],
    ['an empty key', (cache) => cache.getOrSet('', one), 'KEY_INVALID', { lane: 'standard' }, /non-empty strings/],
    ['a number for a key', (cache) => cache.get(wrong(5)), 'KEY_INVALID', {}, /a number.*strings/],
    ['null for a key', (cache) => cache.set(wrong(null), 1), 'KEY_INVALID', {}, /is null\./],
    ['nothing for a key', (cache) => cache.get(wrong(undefined)), 'KEY_INVALID', {}, /is undefined\./],
    ['an object for a key', (cache) => cache.invalidate(wrong({})), 'KEY_INVALID', {}, /is an object\./],
    ['a list for a key', (cache) => cache.invalidate(wrong(['a'])), 'KEY_INVALID', {}, /is a list\./],
    ['a symbol for a key', (cache) => cache.has(wrong(Symbol('key'))), 'KEY_INVALID', {}, /symbol/],
    ['one bad key of many', (cache) => cache.getMany(['a', '']), 'KEY_INVALID', {}, /empty/],
    ['one bad key of many to store', (cache) => cache.setMany([['', 1]]), 'KEY_INVALID', {}, /empty/],
    ['a text for a list of keys', (cache) => cache.getMany(wrong('abc')), 'KEY_INVALID', {}, /array/],
    ['no list of keys', (cache) => cache.getOrSetMany(wrong(undefined), () => new Map()), 'KEY_INVALID', {}, /array/],
    ['an object for entries', (cache) => cache.setMany(wrong({ a: 1 })), 'KEY_INVALID', {}, /are an object.*pairs/],
    ['null for entries', (cache) => cache.setMany(wrong(null)), 'KEY_INVALID', {}, /are null.*pairs/],
    ['a text for entries', (cache) => cache.setMany(wrong('ab')), 'KEY_INVALID', {}, /are a string.*pairs/],
    ['keys for entries', (cache) => cache.setMany(wrong(['ab'])), 'KEY_INVALID', {}, /contain a string.*pairs/],
    [
      'nothing among entries',
      (cache) => cache.setMany(wrong([undefined, ['a', 1]])),
      'KEY_INVALID',
      {},
      /contain undefined/,
    ],
    [
      'a key over 64 KB',
      (cache) => cache.getOrSet('x'.repeat(65_537), one),
      'KEY_TOO_LONG',
      { key: `${'x'.repeat(100)}…` },
      /65537.*65536.*hash/,
    ],
    [
      'a key over 64 KB in UTF-8',
      (cache) => cache.get('€'.repeat(22_000)),
      'KEY_TOO_LONG',
      { lane: 'standard' },
      /hash/,
    ],
    [
      'no function',
      (cache) => cache.getOrSet('key', wrong(undefined)),
      'COMPUTE_INVALID',
      { lane: 'standard' },
      /Pass a function/,
    ],
    ['a value for a function', (cache) => cache.getOrSet('key', wrong(7)), 'COMPUTE_INVALID', {}, /number/],
    ['no function for many', (cache) => cache.getOrSetMany(['a'], wrong(null)), 'COMPUTE_INVALID', {}, /null/],
    [
      'an object for a map of values',
      (cache) => cache.getOrSetMany(['a'], () => wrong({ a: 1 })),
      'COMPUTE_INVALID',
      {},
      /Return a Map/,
    ],
    [
      'a negative ttl',
      (cache) => cache.set('key', 1, { ttl: -1 }),
      'TTL_INVALID',
      { lane: 'standard', field: 'ttl' },
      /seconds.*-1/,
    ],
    ['NaN for a ttl', (cache) => cache.getOrSet('key', one, { ttl: NaN }), 'TTL_INVALID', { field: 'ttl' }, /NaN/],
    ['Infinity for a ttl', (cache) => cache.getOrSet('key', one, { ttl: Infinity }), 'TTL_INVALID', {}, /Infinity/],
    [
      'a ttl in words',
      (cache) => cache.getOrSet('key', one, { ttl: wrong('a while') }),
      'TTL_INVALID',
      {},
      /'10m'.*a while/,
    ],
    ['a ttl of null', (cache) => cache.getOrSet('key', one, { ttl: wrong(null) }), 'TTL_INVALID', {}, /null/],
    [
      'a negative grace',
      (cache) => cache.getOrSet('key', one, { grace: -1 }),
      'TTL_INVALID',
      { field: 'grace' },
      /grace/,
    ],
    [
      'a ttl said too late',
      (cache) => cache.getOrSet('key', (ctx) => ctx.setTtl(-1)),
      'TTL_INVALID',
      { field: 'ttl' },
      /-1/,
    ],
    [
      'a share of the ttl above it',
      (cache) => cache.getOrSet('key', one, { refreshAhead: 2 }),
      'OPTIONS_INVALID',
      { field: 'refreshAhead' },
      /between 0 and 1/,
    ],
    [
      'a tag that is a number',
      (cache) => cache.set('key', 1, { tags: wrong([5]) }),
      'TAG_INVALID',
      { lane: 'standard' },
      /number.*strings/,
    ],
    ['an empty tag', (cache) => cache.set('key', 1, { tags: [''] }), 'TAG_INVALID', {}, /1 to 256/],
    [
      'a tag of 257 characters',
      (cache) => cache.set('key', 1, { tags: ['x'.repeat(257)] }),
      'TAG_INVALID',
      {},
      /257.*256/,
    ],
    ['a text for a list of tags', (cache) => cache.set('key', 1, { tags: wrong('tag') }), 'TAG_INVALID', {}, /list/],
    [
      'a tag said by the computation',
      (cache) => cache.getOrSet('key', (ctx) => ctx.setTags([wrong(5)])),
      'TAG_INVALID',
      {},
      /number/,
    ],
    [
      '65 tags',
      (cache) => cache.set('key', 1, { tags: Array.from({ length: 65 }, (_, tag) => `${tag}`) }),
      'TOO_MANY_TAGS',
      {},
      /65.*64/,
    ],
    [
      'a tag to invalidate that is no text',
      (cache) => cache.invalidateByTag(wrong(['tag'])),
      'TAG_INVALID',
      {},
      /a list/,
    ],
    ['an empty pattern', (cache) => cache.invalidateByPattern(''), 'PATTERN_INVALID', {}, /1 to 512/],
    [
      'an expression for a pattern',
      (cache) => cache.invalidateByPattern(wrong(/a/)),
      'PATTERN_INVALID',
      {},
      /'\*' is any run/,
    ],
    ['a pattern of 513 characters', (cache) => cache.entries('*'.repeat(513)), 'PATTERN_INVALID', {}, /513/],
    [
      'a number for options',
      (cache) => cache.getOrSet('key', one, wrong(300)),
      'OPTIONS_INVALID',
      { lane: 'standard' },
      /must be an object/,
    ],
    [
      'null for options',
      (cache) => cache.getOrSet('key', one, wrong(null)),
      'OPTIONS_INVALID',
      {},
      /must be an object/,
    ],
    ['a list for options', (cache) => cache.set('key', 1, wrong(['tag'])), 'OPTIONS_INVALID', {}, /must be an object/],
    [
      'a misspelt option',
      (cache) => cache.getOrSet('key', one, wrong({ tag: ['a'] })),
      'OPTIONS_INVALID',
      { field: 'tag' },
      /Did you mean 'tags'/,
    ],
    [
      'an option there is not',
      (cache) => cache.get('key', wrong({ colour: 'red' })),
      'OPTIONS_INVALID',
      { field: 'colour' },
      /Known options: isolation, schema, version/,
    ],
    [
      'an isolation there is not',
      (cache) => cache.get('key', { isolation: wrong('none') }),
      'OPTIONS_INVALID',
      { field: 'isolation' },
      /'frozen' or 'clone'/,
    ],
    [
      'live references in a lane without',
      (cache) => cache.get('key', { isolation: 'shared' }),
      'OPTIONS_INVALID',
      { field: 'isolation' },
      /declared/,
    ],
    [
      'a version in words',
      (cache) => cache.get('key', { version: wrong('2') }),
      'OPTIONS_INVALID',
      { field: 'version' },
      /number/,
    ],
    [
      'a schema that validates nothing',
      (cache) => cache.get('key', { schema: wrong({}) }),
      'OPTIONS_INVALID',
      { field: 'schema' },
      /Standard Schema/,
    ],
    [
      'a signal that is none',
      (cache) => cache.getOrSet('key', one, { signal: wrong({}) }),
      'OPTIONS_INVALID',
      { field: 'signal' },
      /AbortSignal/,
    ],
    [
      'yes for forceFresh',
      (cache) => cache.getOrSet('key', one, { forceFresh: wrong('yes') }),
      'OPTIONS_INVALID',
      { field: 'forceFresh' },
      /true or false/,
    ],
    [
      'some lanes to clear',
      (cache) => cache.clearAll({ lanes: wrong('some') }),
      'OPTIONS_INVALID',
      { field: 'lanes' },
      /'all'/,
    ],
    [
      'an event there is not',
      (cache) => cache.events.on(wrong('hits'), one),
      'OPTIONS_INVALID',
      {},
      /Events: hit, miss/,
    ],
  ])('with %s is refused, with what to do', async (_, call, code, details, text) => {
    const error = await refusalOf(call);
    expect(error).toMatchObject({ code, ...details });
    expect(error.message).toMatch(text);
    expect(isLaneCacheError(error)).toBe(true);
  });

  it.each<[string, Call]>([
    ['getOrSet', (cache) => cache.getOrSet('', one)],
    ['getOrSet without options', (cache) => cache.getOrSet('key', one, wrong(null))],
    ['get', (cache) => cache.get('')],
    ['set', (cache) => cache.set('', 1)],
    ['invalidateByPattern', (cache) => cache.invalidateByPattern('')],
  ])('of %s rejects, and throws nothing at the caller', async (_, call) => {
    const answer = call(await caches.open());
    expect(answer).toBeInstanceOf(Promise);
    await expect(answer).rejects.toBeInstanceOf(LaneCacheError);
  });

  it('computes, stores and counts nothing', async () => {
    const cache = await caches.open();
    let computed = 0;
    const options = wrong({ ttl: -1 });
    await expect(cache.getOrSet('key', () => ++computed, options)).rejects.toMatchObject({ code: 'TTL_INVALID' });
    expect(computed).toBe(0);
    expect(cache.getMetrics().requests).toBe(0);
  });
});

describe('a key of exactly 64 KB', () => {
  it('works in all tiers', async () => {
    const directory = await caches.directory();
    const options = { directory, lanes: { standard: { l1: { maxEntries: 1 } } } } as const;
    const keys = ['x'.repeat(65_536), '€'.repeat(21_845) + 'x'];
    const cache = await caches.open(options);
    for (const key of keys) {
      expect(await cache.getOrSet(key, () => 'value')).toBe('value');
      expect(await cache.getOrSet(key, () => 'again')).toBe('value');
    }
    await cache.flush();
    for (const key of keys) expect(await cache.get(key)).toBe('value');
    expect(cache.getMetrics()).toMatchObject({ l1: { hits: 2 }, l2: { hits: 2 } });
    await cache.close();
    const restarted = await caches.open(options);
    for (const key of keys) expect(await restarted.get(key)).toBe('value');
    expect(await restarted.invalidate(keys[0] ?? '')).toBe(true);
    expect(await restarted.has(keys[0] ?? '')).toBe(false);
    expect(restarted.getMetrics().l3.hits).toBe(2);
  });
});

describe('a ttl that was probably meant in milliseconds', () => {
  it('is taken as seconds, with one warning that shows the right form', async () => {
    const warnings: string[] = [];
    const quiet = (): void => undefined;
    const logger = { log: quiet, error: quiet, warn: (text: string) => void warnings.push(text) };
    const cache = await caches.open({ logger });
    await cache.set('a', 1, { ttl: 900_000 });
    await cache.getOrSet('b', one, { ttl: 900_000 });
    await cache.set('c', 1, { ttl: '900000s' });
    await cache.set('d', 1, { ttl: 600 });
    expect(warnings).toEqual([expect.stringMatching(/900000.*'standard'.*SECONDS.*'900000ms'/)]);
  });
});

describe('bad settings', () => {
  const l1 = { maxEntries: 0 };

  it.each<[string, unknown, string, object, RegExp]>([
    ['no object', 5, 'OPTIONS_INVALID', {}, /must be an object/],
    ['a list', [], 'OPTIONS_INVALID', {}, /must be an object/],
    ['null', null, 'OPTIONS_INVALID', {}, /must be an object/],
    ['a misspelt option', { lanez: {} }, 'OPTIONS_INVALID', { field: 'lanez' }, /Did you mean/],
    ['an unknown lane', 'marble', 'LANE_UNKNOWN', { lane: 'marble' }, /docs, standard, heavy/],
    ['a list of lanes', { lanes: [] }, 'LANE_INVALID', { field: 'lanes' }, /object of lanes/],
    [
      'a lane that is no object',
      { lanes: { docs: 5 } },
      'LANE_INVALID',
      { lane: 'docs', field: 'lanes.docs' },
      /object/,
    ],
    [
      'a misspelt field',
      { lanes: { docs: { tll: 5 } } },
      'LANE_INVALID',
      { lane: 'docs', field: 'lanes.docs.tll' },
      /'ttl'/,
    ],
    [
      'a negative ttl',
      { lanes: { docs: { ttl: -5 } } },
      'LANE_INVALID',
      { lane: 'docs', field: 'lanes.docs.ttl' },
      /-5/,
    ],
    ['NaN for a ttl', { lanes: { docs: { ttl: NaN } } }, 'LANE_INVALID', { field: 'lanes.docs.ttl' }, /NaN/],
    [
      'room for no entry',
      { lanes: { docs: { l1 } } },
      'LANE_INVALID',
      { field: 'lanes.docs.l1.maxEntries' },
      /from 1 to 10,000,000/,
    ],
    ['a lane named with a slash', { lanes: { 'a/b': {} } }, 'LANE_INVALID', { lane: 'a/b' }, /not a name/],
    ['a lane that extends nothing', { lanes: { ml: { extends: 'huge' } } }, 'LANE_INVALID', { lane: 'ml' }, /docs/],
    [
      'a strategy that is none',
      { lanes: { docs: { strategy: {} } } },
      'LANE_INVALID',
      { field: 'lanes.docs.strategy' },
      /shouldCache/,
    ],
    [
      'live references on disk',
      { lanes: { docs: { isolation: 'shared' } } },
      'LANE_INVALID',
      { field: 'lanes.docs.isolation' },
      /memory alone/,
    ],
    [
      'a deadline in words',
      { directory: '/nowhere', storage: { deadline: 'soon' } },
      'OPTIONS_INVALID',
      { field: 'storage.deadline' },
      /soon/,
    ],
    [
      'a size in words',
      { directory: '/nowhere', storage: { minFreeBytes: 'lots' } },
      'OPTIONS_INVALID',
      { field: 'storage.minFreeBytes' },
      /lots/,
    ],
    [
      'a sweep every zero seconds',
      { storage: { sweepEvery: 0 } },
      'OPTIONS_INVALID',
      { field: 'storage.sweepEvery' },
      /false/,
    ],
    ['a clock that is none', { clock: {} }, 'OPTIONS_INVALID', { field: 'clock' }, /now/],
    ['types that are no classes', { types: ['Money'] }, 'OPTIONS_INVALID', { field: 'types[0]' }, /class/],
    [
      'checkpoints of a wrong size',
      { checkpoints: { maxStateBytes: -1 } },
      'OPTIONS_INVALID',
      { field: 'checkpoints.maxStateBytes' },
      /-1/,
    ],
    ...[-1, Number.NaN, '7', null].map((days): [string, unknown, string, object, RegExp] => [
      `checkpoints kept for ${String(days)} days`,
      { checkpoints: { retention: { maxAgeDays: { docs: days } } } },
      'OPTIONS_INVALID',
      { field: 'checkpoints.retention.maxAgeDays.docs' },
      /number of days/,
    ]),
    [
      'checkpoints that are over at once in all lanes',
      { checkpoints: { retention: { maxAgeDays: -1 } } },
      'OPTIONS_INVALID',
      { field: 'checkpoints.retention.maxAgeDays' },
      /-1/,
    ],
    [
      'an unknown store',
      { checkpoints: { store: 'disk' } },
      'OPTIONS_INVALID',
      { field: 'checkpoints.store' },
      /'local' or 'distributed'/,
    ],
    [
      'checkpoints nowhere',
      { checkpoints: { directory: '' } },
      'OPTIONS_INVALID',
      { field: 'checkpoints.directory' },
      /path/,
    ],
    [
      'a schedule that is none, even where nothing is cleaned up',
      { checkpoints: { cleanup: 'daily' } },
      'OPTIONS_INVALID',
      { field: 'checkpoints.cleanup' },
      /schedule/,
    ],
    ['a URL for a path', { directory: 'file:///var/cache' }, 'OPTIONS_INVALID', { field: 'directory' }, /not a URL/],
    [
      'a URL object',
      { directory: new URL('file:///var/cache') },
      'OPTIONS_INVALID',
      { field: 'directory' },
      /not a URL/,
    ],
    [
      'a URL for checkpoints',
      { checkpoints: { directory: 'file:///var/checkpoints' } },
      'OPTIONS_INVALID',
      { field: 'checkpoints.directory' },
      /not a URL/,
    ],
    ['a path that no system takes', { directory: 'a\0b' }, 'OPTIONS_INVALID', { field: 'directory' }, /path/],
  ])('such as %s are refused before anything is opened', async (_, settings, code, details, text) => {
    const whole = typeof settings === 'object' && settings !== null && !Array.isArray(settings);
    const opening = CacheManager.fromSettings(wrong(whole ? { directory: false, ...settings } : settings));
    const outcome: unknown = await opening.then(
      (cache) => cache.close().then(() => 'opened'),
      (error: unknown) => error,
    );
    expect(outcome).toMatchObject({ code, ...details });
    expect(outcome).toHaveProperty('message', expect.stringMatching(text));
  });

  it('of a lane are refused where it is defined', () => {
    expect(() => defineLane(wrong({ ttl: 'long' }))).toThrow(
      expect.objectContaining({ code: 'LANE_INVALID', field: 'ttl' }),
    );
  });

  it('from the environment are refused', () => {
    expect(() => parseDuration('soon')).toThrow(expect.objectContaining({ code: 'OPTIONS_INVALID' }));
    expect(() => parseSize('big')).toThrow(expect.objectContaining({ code: 'OPTIONS_INVALID' }));
  });
});
