import { afterEach, describe, expect, it } from '@jest/globals';
import { isLaneCacheError } from '../../lib/index.js';
import { Caches } from '../support/caches.js';

/** As JavaScript, or a careless cast, hands it in. */
const wrong = (value: unknown): never => value as never;

const NO_OPTIONS: readonly unknown[] = [null, 0, 60, Number.NaN, 1n, Symbol('ttl'), '', '10m', true, () => '10m'];

describe('what is no object', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  // a ttl as the third argument was refused by the call that computed, and taken by all that found the value
  it.each(NO_OPTIONS)('such as %p is refused as options, also where memory has the value', async (options) => {
    const cache = await caches.open();
    await cache.getOrSet('k', () => 'value');
    for (const key of ['k', 'another']) {
      await expect(cache.getOrSet(key, () => 'value', wrong(options))).rejects.toMatchObject({
        code: 'OPTIONS_INVALID',
      });
    }
  });
});

// it went through the tiers as a key that is no text, which turned L3 off
describe('a list of keys with a hole', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  it('is refused before anything is computed', async () => {
    const cache = await caches.open();
    const asked: unknown[] = [];
    const keys: string[] = ['a'];
    keys[2] = 'c';
    const calls = [
      () => cache.getOrSetMany(keys, (missing) => (asked.push(...missing), new Map())),
      () => cache.getMany(keys),
      () => cache.warm(keys, (key) => asked.push(key)),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'KEY_INVALID' });
    expect([asked, cache.getMetrics().requests]).toEqual([[], 0]);
  });
});

describe('a listener that is no function', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  it.each([undefined, null, 'log', {}, Symbol('log')])('such as %p is refused where it is given', async (listener) => {
    const { events } = await caches.open();
    expect(() => events.on('hit', wrong(listener))).toThrow(expect.objectContaining({ code: 'OPTIONS_INVALID' }));
  });

  it.each([undefined, null, 'hits', Symbol('hit'), {}])('is refused like an event %p', async (name) => {
    const { events } = await caches.open();
    expect(() => events.on(wrong(name), () => undefined)).toThrow(/There is no event/);
    const rejection: unknown = await events.once(wrong(name)).catch((error: unknown) => error);
    expect(isLaneCacheError(rejection, 'OPTIONS_INVALID')).toBe(true);
  });
});
