import { afterEach, describe, expect, it } from '@jest/globals';
import type { CacheManager } from '../../../lib/index.js';
import { ValueCodec } from '../../../lib/entries/codec/value-codec.js';
import { Caches } from '../../support/caches.js';
import { checkpointsInMemory } from '../../support/checkpoints.js';
import { LaneApp } from '../../support/lane-app.js';

/** A list whose item is another at each reading. */
function changing(...answers: readonly unknown[]): unknown[] {
  let reading = 0;
  return Object.defineProperty([0], 0, { enumerable: true, get: () => answers[reading++ % answers.length] });
}

/** As JavaScript callers give it, without a compiler to stop them. */
const wrong = (value: unknown): never => value as never;

describe('what is encoded', () => {
  const codec = new ValueCodec();

  it('is refused if an expression has a text for lastIndex', () => {
    expect(codec.encode(Object.assign(/a/g, { lastIndex: '5' }))).toMatchObject({ storable: false });
  });

  it('is known to decode before a checkpoint of it is acknowledged', async () => {
    const encoded = codec.encodeChecked(changing(1, new Date(5)));
    expect(encoded).toMatchObject({ storable: false, reason: expect.stringContaining('restored') });
    const saving = checkpointsInMemory().service.cacheCheckpoint('id', changing(1, new Date(5)));
    await expect(saving).rejects.toMatchObject({ code: 'CHECKPOINT_UNSTORABLE' });
  });
});

describe('a value that is refused', () => {
  it('is returned as it is, though it could be encoded when it is read again', async () => {
    const app = new LaneApp();
    const unstorable = (): number => 1;
    const value = changing(unstorable, unstorable, 1, 1);
    expect(await app.manager().getOrSet('key', () => value)).toBe(value);
    expect(app.manager().getMetrics().refused.unstorable).toBe(1);
  });
});

describe('a fault of the library while a result is stored', () => {
  it('reaches no caller', async () => {
    const app = new LaneApp();
    app.memory.space('standard').set = () => {
      throw new Error('a fault');
    };
    const callers = [1, 2].map(() => app.manager().getOrSet('key', () => 'value'));
    expect(await Promise.all(callers)).toEqual(['value', 'value']);
    expect(app.manager().getMetrics().refused.unstorable).toBe(1);
  });
});

describe('a strategy that stores an entry each time it is asked', () => {
  it('is not asked about what it stores', async () => {
    let cache: CacheManager | undefined;
    let asked = 0;
    const strategy = {
      shouldCache: () => {
        void cache?.set(`mine ${asked++}`, 1);
        return true;
      },
      getEvictionPriority: () => 0,
    };
    const app = new LaneApp({ lanes: { standard: { strategy } } });
    cache = app.manager();
    expect(await cache.getOrSet('key', () => 'value')).toBe('value');
    expect(asked).toBe(1);
  });
});

describe('a migrate', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  class Money {
    constructor(readonly cents: number) {}
  }

  /** An app whose disk holds an instance of version 1, and whose class is of version 2. */
  async function upgraded(migrate: () => unknown): Promise<CacheManager> {
    const directory = await caches.directory();
    const before = await caches.open({ directory, types: [Money] });
    await before.set('price', new Money(5));
    await before.flush();
    await before.close();
    return caches.open({ directory, types: [{ type: Money, version: 2, migrate: wrong(migrate) }] });
  }

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('mine');
      },
    ],
    ['rejects', () => Promise.reject(new Error('mine'))],
    ['never answers', () => new Promise(() => undefined)],
    ['answers an object of another class', () => ({ cents: 5 })],
    ['answers a number', () => 5],
  ])('that %s is a miss, and is counted', async (_, migrate) => {
    const faults: unknown[] = [];
    const cache = await upgraded(migrate);
    cache.events.on('fault', ({ collaborator }) => faults.push(collaborator));
    expect(await cache.get('price')).toBeUndefined();
    expect(await cache.getOrSet('price', () => 'computed')).toBe('computed');
    expect(faults).toContain('migrate');
  });

  it.each<[string, (cache: CacheManager) => Promise<unknown>]>([
    ['get', (cache) => cache.get('price')],
    ['getOrSet', (cache) => cache.getOrSet('price', () => new Money(9))],
    ['set', (cache) => cache.set('price', new Money(8))],
    ['invalidate', (cache) => cache.invalidate('price')],
    ['clearAll', (cache) => cache.clearAll({ lanes: 'all' })],
    ['entries', async (cache) => cache.entries()[Symbol.asyncIterator]().next()],
  ])('may call %s of its own key, and its reader gets an answer', async (_, callBack) => {
    let calls = 0;
    const made: { cache?: CacheManager } = {};
    made.cache = await upgraded(() => {
      calls++;
      if (calls < 5 && made.cache !== undefined) void callBack(made.cache);
      return new Money(7);
    });
    const answer: unknown = await made.cache.getOrSet('price', () => new Money(9));
    expect(answer).toBeInstanceOf(Money);
    expect(await made.cache.getOrSet('price', () => new Money(9))).toBeInstanceOf(Money);
    expect(calls).toBeGreaterThan(0);
  });

  it('runs once for an entry, however many copies are made of it', async () => {
    let runs = 0;
    const cache = await upgraded(() => {
      runs++;
      return new Money(7);
    });
    for (let read = 0; read < 3; read++) expect(await cache.get('price')).toEqual(new Money(7));
    expect(runs).toBe(1);
  });
});
