import { afterEach, describe, expect, it } from '@jest/globals';
import { isDeepStrictEqual } from 'node:util';
import type { CacheManager } from '../../lib/index.js';
import { Caches } from '../support/caches.js';

class Point {
  constructor(
    public x: number,
    public y: number,
  ) {}
}

const content = () => ({
  list: [1, { deep: true }],
  map: new Map<string, unknown>([['key', { inner: 1 }]]),
  set: new Set<unknown>([{ member: 1 }]),
  date: new Date(0),
  error: new Error('cause', { cause: { code: 1 } }),
});
type Content = ReturnType<typeof content>;

interface Row {
  cell?: { deep: boolean };
}

const tree = (): { name: string; rows: Row[] } => ({ name: 'tree', rows: [{}, { cell: { deep: true } }] });

describe('a value that callers share', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  const evicted = async (cache: CacheManager): Promise<void> => {
    await cache.set('evicts', 1);
    await cache.flush();
  };

  it.each<[string, (value: ReturnType<typeof tree>) => unknown]>([
    ['set a property', (value) => (value.name = 'other')],
    ['add a property deep inside', (value) => Object.assign(value.rows[1]?.cell ?? {}, { more: 1 })],
    ['change a property deep inside', (value) => Object.assign(value.rows[1]?.cell ?? {}, { deep: false })],
    ['push', (value) => value.rows.push({})],
    ['replace an element', (value) => (value.rows[0] = {})],
  ])('is frozen where it is a tree of plain objects: no caller can %s', async (_, change) => {
    const cache = await caches.open({
      directory: await caches.directory(),
      lanes: { standard: { l1: { maxEntries: 1 } } },
    });
    const first = await cache.getOrSet('key', tree);
    const fromL1 = await cache.getOrSet('key', tree);
    await evicted(cache);
    const fromL2 = await cache.getOrSet('key', tree);
    expect(cache.getMetrics()).toMatchObject({ l1: { hits: 1 }, l2: { hits: 1 } });
    for (const value of [first, fromL1, fromL2]) {
      expect(() => change(value)).toThrow(TypeError);
      expect(value).toEqual(tree());
    }
  });

  it.each<[string, (value: Content) => unknown]>([
    ['set a property', (value) => (value.list = [])],
    ['add a property', (value) => Object.assign(value, { more: 1 })],
    ['delete a property', (value) => Reflect.deleteProperty(value, 'list') || deny()],
    ['push', (value) => value.list.push(1)],
    ['sort', (value) => value.list.sort()],
    ['change something deep inside', (value) => Object.assign(value.list[1] ?? {}, { deep: false })],
    ['set in a map', (value) => value.map.set('other', 1)],
    ['delete from a map', (value) => value.map.delete('key')],
    ['clear a map', (value) => value.map.clear()],
    ['change a value in a map', (value) => Object.assign(value.map.get('key') ?? {}, { inner: 2 })],
    ['add to a set', (value) => value.set.add(1)],
    ['change a member of a set', (value) => Object.assign([...value.set][0] ?? {}, { member: 2 })],
    ['set a date', (value) => value.date.setTime(1)],
    ['set the year of a date', (value) => value.date.setUTCFullYear(1999)],
    ['change an error', (value) => (value.error.message = 'other')],
  ])('is frozen: no caller can %s', async (_, change) => {
    const cache = await caches.open({
      directory: await caches.directory(),
      lanes: { standard: { l1: { maxEntries: 1 } } },
    });
    const own = content();
    const first = await cache.getOrSet('key', () => own);
    const fromL1 = await cache.getOrSet('key', () => own);
    await evicted(cache);
    const fromL2 = await cache.getOrSet('key', () => own);
    for (const value of [first, fromL1, fromL2]) {
      expect(() => change(value)).toThrow(TypeError);
      expect(isDeepStrictEqual(value, content())).toBe(true);
    }
    expect(own.error).toBeInstanceOf(Error);
    expect(() => change(own)).not.toThrow();
  });

  const deny = (): never => {
    throw new TypeError('It was not deleted.');
  };

  it('throws an error that names its lane and how to get a copy', async () => {
    const cache = (await caches.open()).forLane('docs');
    const { map, set, date } = await cache.getOrSet('key', content);
    for (const change of [() => map.set('a', 1), () => set.clear(), () => date.setTime(1)]) {
      expect(change).toThrow(/'docs'.*isolation: 'clone'/);
    }
  });

  it('is one copy for all, the first caller included, and never the function’s own object', async () => {
    const cache = await caches.open();
    const own = content();
    const first = await cache.getOrSet('key', () => own);
    expect(first).not.toBe(own);
    expect(await cache.getOrSet('key', content)).toBe(first);
    expect(await cache.get('key')).toBe(first);
    own.list.push(2);
    own.map.clear();
    own.date.setTime(5);
    expect(isDeepStrictEqual(await cache.get('key'), content())).toBe(true);
    const given = content();
    await cache.set('given', given);
    expect(Object.isFrozen(given)).toBe(false);
    expect(await cache.get('given')).not.toBe(given);
  });

  it('is a copy for each in a lane of clones, and for a call that asks for one', async () => {
    const cache = await caches.open({ lanes: { standard: { isolation: 'clone' } } });
    const own = content();
    const copies = [
      await cache.getOrSet('key', () => own),
      await cache.getOrSet('key', content),
      await cache.get<Content>('key'),
    ];
    expect(new Set([own, ...copies]).size).toBe(4);
    copies[0]?.list.push(9);
    copies[0]?.map.clear();
    expect(isDeepStrictEqual(await cache.get('key'), content())).toBe(true);

    const frozen = cache.forLane('heavy');
    await frozen.set('key', content());
    const copy = await frozen.getOrSet('key', content, { isolation: 'clone' });
    copy.date.setTime(7);
    copy.map.set('other', 1);
    expect(isDeepStrictEqual(await frozen.get('key'), content())).toBe(true);
    expect(await frozen.get('key')).not.toBe(copy);
  });

  it.each(['frozen', 'clone'] as const)(
    'is as the call asks when a disk had it, in a lane of isolation %s',
    async (isolation) => {
      const cache = await caches.open({
        directory: await caches.directory(),
        lanes: { standard: { isolation, l1: { maxEntries: 1 } } },
      });
      await cache.set('key', tree());
      for (const asked of ['frozen', 'clone'] as const) {
        await evicted(cache);
        const fromL2 = await cache.getOrSet('key', tree, { isolation: asked });
        expect(Object.isFrozen(fromL2)).toBe(asked === 'frozen');
        expect(fromL2).toEqual(tree());
        if (asked === 'clone') fromL2.rows.length = 0;
        const [one, other] = [await cache.getOrSet('key', tree), await cache.getOrSet('key', tree)];
        expect([one, other]).toEqual([tree(), tree()]);
        expect(one === other).toBe(isolation === 'frozen');
        expect(Object.isFrozen(one)).toBe(isolation === 'frozen');
      }
      expect(cache.getMetrics().l2.hits).toBe(2);
    },
  );

  it('is frozen for a call that asks for it in a lane of clones', async () => {
    const cache = await caches.open({ lanes: { standard: { isolation: 'clone' } } });
    await cache.set('key', content());
    const frozen = await cache.getOrSet('key', content, { isolation: 'frozen' });
    expect(Object.isFrozen(frozen)).toBe(true);
    expect(() => frozen.map.clear()).toThrow(TypeError);
  });

  it('is a live reference in a shared lane', async () => {
    const off = { enabled: false };
    const cache = await caches.open({ lanes: { standard: { isolation: 'shared', l2: off, l3: off } } });
    const live = { run: () => 1, socket: new Point(1, 2) };
    expect(await cache.getOrSet('key', () => live)).toBe(live);
    expect(await cache.getOrSet('key', () => ({ ...live }))).toBe(live);
    live.socket.x = 5;
    expect(await cache.get('key')).toEqual(live);
    expect(Object.isFrozen(live)).toBe(false);
    expect(cache.getMetrics()).toMatchObject({ computed: 1, l1: { hits: 2 } });
  });

  it.each<[string, () => object, (value: never) => unknown]>([
    ['a buffer', () => ({ bytes: Buffer.from([1, 2]) }), (value: { bytes: Buffer }) => value.bytes.fill(9)],
    ['a typed array', () => new Float64Array([1]), (value: Float64Array) => value.fill(9)],
    ['an array buffer', () => new ArrayBuffer(2), (value: ArrayBuffer) => new Uint8Array(value).fill(9)],
    ['an expression', () => ({ pattern: /a/g }), (value: { pattern: RegExp }) => value.pattern.exec('aa')],
    ['an instance', () => [new Point(1, 2)], (value: Point[]) => value.map((point) => (point.x = 9))],
  ])('is cloned for each reader if it holds %s', async (_, make, change) => {
    const cache = await caches.open({ directory: await caches.directory(), types: [Point] });
    const readers = [() => cache.getOrSet('key', make), () => cache.getOrSet('key', make), () => cache.get('key')];
    for (const read of readers) {
      const value = await read();
      expect(isDeepStrictEqual(value, make())).toBe(true);
      change(value as never);
    }
    expect(isDeepStrictEqual(await cache.get('key'), make())).toBe(true);
    expect(cache.getMetrics().computed).toBe(1);
  });

  it('can be part of another cached value', async () => {
    const directory = await caches.directory();
    const lanes = { standard: { l1: { maxEntries: 1 } } } as const;
    const cache = await caches.open({ directory, lanes });
    const inner = await cache.getOrSet('inner', content);
    const outer = await cache.getOrSet('outer', async () => ({
      inner: await cache.get<Content>('inner'),
      again: [inner],
    }));
    expect(cache.getMetrics().refused.unstorable).toBe(0);
    expect(isDeepStrictEqual(outer, { inner: content(), again: [content()] })).toBe(true);
    await evicted(cache);
    expect(isDeepStrictEqual(await cache.get('outer'), outer)).toBe(true);
    const copy = await cache.get<typeof outer>('outer', { isolation: 'clone' });
    copy?.inner?.map.set('free', true);
    expect(copy?.inner?.map.get('free')).toBe(true);
  });

  it('is returned to each caller of one computation with the isolation of its own call', async () => {
    const cache = await caches.open();
    const own = content();
    const slow = async (): Promise<Content> => Promise.resolve(own);
    const [one, other, copy] = await Promise.all([
      cache.getOrSet('key', slow),
      cache.getOrSet('key', slow),
      cache.getOrSet('key', slow, { isolation: 'clone' }),
    ]);
    expect(one).toBe(other);
    expect(copy).not.toBe(one);
    expect(Object.isFrozen(copy)).toBe(false);
    expect(isDeepStrictEqual(copy, one)).toBe(true);
  });
});
