import { afterEach, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { CacheManager, TierName } from '../../../lib/index.js';
import { Caches } from '../../support/caches.js';
import { roundsOf } from '../../support/fault-table.js';
import { differences } from '../../support/same-kinds.js';
import { isSameInOrder } from '../../support/same-in-order.js';
import { anyStorable } from '../../support/storable-values.js';

const RUNS = roundsOf(60, 150);

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;

class Money {
  constructor(
    readonly amount: bigint,
    readonly currency: string,
  ) {}
}

async function readFrom(cache: CacheManager, tier: TierName, key: string): Promise<unknown> {
  const before = cache.getMetrics()[tier].hits;
  const value = await cache.getOrSet(key, () => {
    throw new Error(`${key} was not in ${tier}`);
  });
  expect(cache.getMetrics()[tier].hits).toBe(before + 1);
  return value;
}

/** Frozen copies of dates, maps and sets have own methods; copies of such copies have the same. */
function expectSame(actual: unknown, expected: unknown): void {
  expect(isSameInOrder(actual, expected)).toBe(true);
  expect(Object.getPrototypeOf(Object(actual))).toBe(Object.getPrototypeOf(Object(expected)));
}

describe('a value that was stored', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  const lanes = { standard: { l1: { maxEntries: 1 } }, docs: { compression: true, l1: { maxEntries: 1 } } } as const;

  it('comes back from every tier as the first caller got it', async () => {
    const values = fc.sample(anyStorable(), RUNS).filter((value) => value !== undefined);
    const directory = await caches.directory();
    const options = { directory, lanes, checkpoints: false } as const;
    const cache = await caches.open(options);
    const firsts: unknown[] = [];
    for (const [index, value] of values.entries()) {
      const first = await cache.getOrSet(`key ${index}`, () => value);
      expectSame(first, value);
      const again = await readFrom(cache, 'l1', `key ${index}`);
      expect(differences(again, first)).toEqual([]);
      firsts.push(first);
    }
    expect(cache.getMetrics().refused).toMatchObject({ unstorable: 0 });
    await cache.flush();
    for (const [index, first] of firsts.slice(0, -1).entries())
      expectSame(await readFrom(cache, 'l2', `key ${index}`), first);
    await cache.close();

    const restarted = await caches.open(options);
    for (const [index, first] of firsts.entries()) expectSame(await readFrom(restarted, 'l3', `key ${index}`), first);
  });

  it('comes back from a compressed lane as the first caller got it', async () => {
    const values = fc.sample(fc.array(anyStorable(), { minLength: 30, maxLength: 60 }), roundsOf(12, 30));
    const cache = (await caches.open({ directory: await caches.directory(), lanes })).forLane('docs');
    const firsts: unknown[] = [];
    for (const [index, value] of values.entries()) firsts.push(await cache.getOrSet(`key ${index}`, () => value));
    await cache.flush();
    expect(firsts.map((first, index) => isSameInOrder(first, values[index]))).toEqual(firsts.map(() => true));
    for (const [index, first] of firsts.slice(0, -1).entries()) {
      expectSame(await readFrom(cache, 'l2', `key ${index}`), first);
    }
  });

  it('is cloned as it was', async () => {
    const cache = await caches.open({ lanes: { standard: { isolation: 'clone' } } });
    await fc.assert(
      fc.asyncProperty(anyStorable(), fc.uuid(), async (value, key) => {
        fc.pre(value !== undefined);
        const first = await cache.getOrSet(key, () => value);
        const second = await cache.get(key);
        expect(differences(first, value)).toEqual([]);
        expect(differences(second, value)).toEqual([]);
        expect(isObject(value) && (first === second || first === value)).toBe(false);
      }),
      { numRuns: RUNS },
    );
  });

  it('is an instance of its class again, if that is listed', async () => {
    const directory = await caches.directory();
    const options = { directory, types: [Money], lanes } as const;
    const price = new Money(10n ** 30n, 'EUR');
    const cache = await caches.open(options);
    const first = await cache.getOrSet('price', () => ({ price }));
    expect(first.price).toBeInstanceOf(Money);
    await cache.set('other', 1);
    await cache.flush();
    expectSame(await readFrom(cache, 'l2', 'price'), { price });
    await cache.close();
    expectSame(await readFrom(await caches.open(options), 'l3', 'price'), { price });
  });

  it.each([0, -0, '', false, null, NaN])('is a hit although it is %p', async (value) => {
    const directory = await caches.directory();
    const options = { directory, lanes } as const;
    const cache = await caches.open(options);
    expect(await cache.getOrSet('key', () => value)).toBe(value);
    expect(await readFrom(cache, 'l1', 'key')).toBe(value);
    expect(await cache.get('key')).toBe(value);
    expect(await cache.has('key')).toBe(true);
    expect((await cache.getMany(['key'])).get('key')).toBe(value);
    await cache.set('other', 1);
    await cache.flush();
    expect(await readFrom(cache, 'l2', 'key')).toBe(value);
    await cache.close();
    expect(await readFrom(await caches.open(options), 'l3', 'key')).toBe(value);
  });
});

describe('a value that is not stored', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  it('is undefined: it is returned, and computed at every call', async () => {
    const cache = await caches.open();
    let computed = 0;
    const nothing = (): undefined => void computed++;
    expect(await cache.getOrSet('key', nothing)).toBeUndefined();
    expect(await cache.getOrSet('key', nothing)).toBeUndefined();
    expect(computed).toBe(2);
    expect(await cache.set('key', undefined)).toBe(false);
    expect(await cache.has('key')).toBe(false);
    expect(cache.getMetrics().refused.undefined).toBe(3);
  });

  class Socket {
    readonly #secret = 1;
    get secret(): number {
      return this.#secret;
    }
  }

  it.each<[string, unknown]>([
    ['a function', () => 1],
    ['an object with a function deep inside', { a: [{ b: () => 1 }] }],
    ['a symbol', Symbol('s')],
    ['an instance of a class that is not listed', new Socket()],
    ['one of those in a map', new Map([['socket', new Socket()]])],
    ['a promise inside', { later: Promise.resolve(1) }],
    ['a weak map', new WeakMap()],
    ['an iterator', [1][Symbol.iterator]()],
    ['an array with a property of its own', Object.assign([1], { extra: true })],
    ['an accessor', Object.defineProperty({}, 'now', { get: () => 1, enumerable: true })],
    ['a symbol key', { [Symbol('key')]: 1 }],
    ['a proxy of a function', new Proxy(() => 1, {})],
  ])('is %s: it is returned as it is, counted, and reported once', async (_, value) => {
    const warnings: unknown[] = [];
    const warn = (text: unknown): void => void warnings.push(text);
    const cache = await caches.open({
      directory: await caches.directory(),
      logger: { log: () => undefined, warn, error: warn },
    });
    let computed = 0;
    const compute = (): unknown => {
      computed++;
      return value;
    };
    warnings.length = 0;
    expect(await cache.getOrSet('key', compute)).toBe(value);
    expect(await cache.getOrSet('key', compute, { isolation: 'clone' })).toBe(value);
    expect(await cache.set('key', value)).toBe(false);
    expect(computed).toBe(2);
    expect(Object.isFrozen(value)).toBe(typeof value === 'symbol');
    expect(await cache.has('key')).toBe(false);
    expect(cache.getMetrics().refused.unstorable).toBe(3);
    expect(warnings).toEqual([expect.stringMatching(/'standard'.*"key".*(types|plain)/)]);
  });
});
