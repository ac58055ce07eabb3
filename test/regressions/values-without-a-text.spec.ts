import { afterEach, describe, expect, it } from '@jest/globals';
import { isLaneCacheError, type CacheManager, parseDuration, parseSize } from '../../lib/index.js';
import { Caches } from '../support/caches.js';

type Call = (cache: CacheManager, value: never) => unknown;

/** `String(value)` throws for each of them, or runs code of theirs. */
const VALUES: readonly (readonly [string, unknown])[] = [
  ['a symbol', Symbol('lane')],
  ['an object without a prototype', Object.create(null)],
  ['a list that holds a symbol', [Symbol('lane')]],
  [
    'an object whose text throws',
    {
      toString: () => {
        throw new Error('the text of the value was asked for');
      },
    },
  ],
];

/** Calls that name what they refuse. */
const CALLS: readonly (readonly [string, string, Call])[] = [
  ['forLane', 'LANE_UNKNOWN', (cache, value) => cache.forLane(value)],
  ['parseDuration', 'OPTIONS_INVALID', (_, value) => parseDuration(value)],
  ['parseSize', 'OPTIONS_INVALID', (_, value) => parseSize(value)],
  ['a ttl', 'TTL_INVALID', (cache, value) => cache.set('key', 1, { ttl: value })],
  ['ctx.setTtl', 'TTL_INVALID', (cache, value) => cache.getOrSet('key', (ctx) => ctx.setTtl(value))],
  ['a key', 'KEY_INVALID', (cache, value) => cache.get(value)],
  ['a tag', 'TAG_INVALID', (cache, value) => cache.invalidateByTag(value)],
  ['a pattern', 'PATTERN_INVALID', (cache, value) => cache.invalidateByPattern(value)],
  ['an id of a checkpoint', 'CHECKPOINT_INVALID', (cache, value) => cache.snapshots.restoreCheckpoint(value)],
  ['a listener of a cleanup', 'OPTIONS_INVALID', (cache, value) => cache.snapshots.cleanupOldCheckpoints(7, value)],
];

const caches = new Caches();
afterEach(() => caches.close());

async function codeOf(call: Call, value: unknown): Promise<string> {
  const cache = await caches.open();
  try {
    await call(cache, value as never);
  } catch (error) {
    return isLaneCacheError(error) ? error.code : String(error);
  }
  return 'accepted';
}

describe.each(CALLS)('%s', (_, code, call) => {
  it.each(VALUES)('refuses %s by a typed error', async (__, value) => {
    expect(await codeOf(call, value)).toBe(code);
  });
});

describe('metadata of a checkpoint whose getter throws', () => {
  it('is refused by a typed error', async () => {
    const metadata = {
      get name(): string {
        throw new Error('no name');
      },
    };
    const save: Call = (cache) => cache.snapshots.cacheCheckpoint('id', 1, { metadata });
    expect(await codeOf(save, undefined)).toBe('CHECKPOINT_UNSTORABLE');
  });
});
