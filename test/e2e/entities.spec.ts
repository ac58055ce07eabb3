import 'reflect-metadata';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Exclude, Expose, instanceToPlain, plainToInstance, Type } from 'class-transformer';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { CacheManager, EntryOptions, LaneCacheOptions, TypeEntry } from '../../lib/index.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { Caches } from '../support/caches.js';

const constructed = jest.fn();

/** Entities as of an ORM, with relations, methods, accessors, and a constructor with side effects. */
class Author {
  id = 0;
  name = '';
  books?: Book[];

  constructor() {
    constructed();
  }

  get initials(): string {
    return this.name.slice(0, 1);
  }
}

class Book {
  id = 0;
  author?: Author;
  readonly soldAt: Date[] = [];
}

class Base {
  createdAt = new Date(0);
}

class Article extends Base {
  title = '';
}

/** A number class with own fields, behaviour on the prototype, and a factory. */
class Decimal {
  constructor(
    readonly sign: 1 | -1,
    readonly digits: readonly number[],
    readonly exponent: bigint,
  ) {}

  static of(text: string): Decimal {
    const [whole = '', fraction = ''] = text.replace('-', '').split('.');
    return new Decimal(text.startsWith('-') ? -1 : 1, Array.from(whole + fraction, Number), -BigInt(fraction.length));
  }

  toString(): string {
    const at = this.digits.length + Number(this.exponent);
    const text = this.digits.join('');
    return `${this.sign === -1 ? '-' : ''}${text.slice(0, at)}.${text.slice(at)}`;
  }
}

/** A constructor function whose instances have it as a field, as in decimal.js and big.js. */
function Big(this: object, digits: string): void {
  Object.assign(this, { digits, constructor: Big });
}
Big.prototype = { toString: (): string => 'a number' };
const big = (digits: string): object => Reflect.construct(Big, [digits]);

/** Only its own methods create instances. */
class Money {
  private constructor(private readonly cents: number) {}

  static of(amount: number): Money {
    return new Money(amount * 100);
  }

  get amount(): number {
    return this.cents / 100;
  }
}

class Sealed {
  #secret = 1;

  reveal(): number {
    return this.#secret++;
  }
}

class Address {
  @Expose() city = '';
}

class Customer {
  @Expose() name = '';
  @Exclude() password = '';
  @Expose()
  @Type(() => Address)
  address = new Address();
  @Expose()
  @Type(() => Date)
  since = new Date(0);
}

const caches = new Caches();

afterEach(() => caches.close());

function author(): Author {
  const made = Object.assign(new Author(), { id: 7, name: 'Ursula' });
  made.books = [Object.assign(new Book(), { id: 1, soldAt: [new Date(5)] })];
  return made;
}

function article(): Article {
  return Object.assign(new Article(), { title: 'On caches' });
}

function customer(): Customer {
  const plain = { name: 'Ann', password: 'hidden', address: { city: 'Oslo' }, since: '2020-01-01T00:00:00Z' };
  return Object.assign(plainToInstance(Customer, plain), { password: 'hidden' });
}

const KINDS: readonly (readonly [string, readonly TypeEntry[], () => object])[] = [
  ['an entity', [Author, Book], author],
  ['an entity of an inherited kind', [Article], article],
  ['a decimal', [Decimal], () => Decimal.of('-12.50')],
  ['a number that carries its class', [Big], () => big('12')],
  ['what only its class can construct', [Money], () => Money.of(3)],
  ['a class-transformer class', [Customer, Address], customer],
  ['what holds several', [Decimal, Article], () => ({ total: Decimal.of('1.0'), list: new Map([['a', article()]]) })],
];

const refuse = (): never => {
  throw new Error('should have been cached');
};

/** Reads the value of `make` from every tier that the options turn on. */
async function fromEverywhere(types: readonly TypeEntry[], make: () => object): Promise<Map<string, unknown>> {
  const directory = await caches.directory();
  const lanes = { tiny: { l1: { maxEntries: 1 }, l3: { enabled: false } } };
  const options: LaneCacheOptions = { directory, types, lanes };
  const answers = new Map<string, unknown>();
  const first = await caches.open(options);
  answers.set('computed', await first.getOrSet('k', make));
  answers.set('l1', await first.getOrSet('k', refuse));
  const tiny = first.forLane('tiny');
  await tiny.getOrSet('k', make);
  await tiny.set('other', 1);
  answers.set('l2', await tiny.getOrSet('k', refuse));
  expect(tiny.getMetrics().l2.hits).toBe(1);
  await first.close();
  const second = await caches.open(options);
  answers.set('l3', await second.getOrSet('k', refuse));
  expect(second.getMetrics().l3.hits).toBe(1);
  return answers;
}

describe('instances of classes', () => {
  it.each(KINDS)('%s comes back from every tier', async (_, types, make) => {
    const answers = await fromEverywhere(types, make);
    expect([...answers.keys()]).toEqual(['computed', 'l1', 'l2', 'l3']);
    for (const answer of answers.values()) expect(isDeepStrictEqual(answer, make())).toBe(true);
  });

  it('are copied for each caller', async () => {
    const cache = await caches.open({ types: [Decimal, Author, Book, Customer, Address] });
    await cache.set('sum', Decimal.of('3.14'));
    expect(String(await cache.get('sum'))).toBe('3.14');
    await cache.set('author', author());
    const [one, two] = [await cache.get<Author>('author'), await cache.get<Author>('author')];
    expect(one?.initials).toBe('U');
    if (one !== undefined) one.name = 'changed';
    expect(two?.name).toBe('Ursula');
    await cache.set('customer', customer());
    const kept = await cache.get<Customer>('customer');
    expect(instanceToPlain(kept)).toEqual({ name: 'Ann', address: { city: 'Oslo' }, since: new Date('2020-01-01') });
  });

  it('are restored without running a constructor', async () => {
    const cache = await caches.open({ types: [Author, Book] });
    await cache.set('a', author());
    constructed.mockClear();
    expect(await cache.get('a')).toBeInstanceOf(Author);
    expect(constructed).not.toHaveBeenCalled();
  });

  it('are returned uncached when their class is not listed', async () => {
    const cache = await caches.open();
    const made = article();
    expect(await cache.getOrSet('a', () => made)).toBe(made);
    expect(await cache.get('a')).toBeUndefined();
    expect(cache.getMetrics().refused.unstorable).toBe(1);
  });

  it('are returned uncached when they have private fields, which cannot be restored', async () => {
    const cache = await caches.open({ types: [Sealed], directory: await caches.directory() });
    const made = new Sealed();
    expect(await cache.getOrSet('a', () => ({ made }))).toEqual({ made });
    expect(await cache.set('a', made)).toBe(false);
    expect(cache.getMetrics().refused.unstorable).toBe(2);
    const refusals: string[] = [];
    cache.events.on('refuse', ({ detail }) => void refusals.push(detail));
    expect((await cache.getOrSet('a', () => made)).reveal()).toBe(1);
    expect(refusals).toEqual([expect.stringContaining('an instance of Sealed, whose #secret is private to the class')]);
  });

  it.each<[string, TypeEntry, unknown]>([
    ['a miss', { type: Article, version: 2 }, undefined],
    [
      'made anew by migrate',
      {
        type: Article,
        version: 2,
        migrate: (fields, from) => Object.assign(new Article(), { title: `${String(fields['title'])} of ${from}` }),
      },
      Object.assign(new Article(), { title: 'On caches of 1' }),
    ],
  ])('of another version of their class are %s', async (_, entry, found) => {
    const directory = await caches.directory();
    const first = await caches.open({ directory, types: [Article] });
    await first.set('a', article());
    await first.close();
    const second = await caches.open({ directory, types: [entry] });
    expect(await second.get('a')).toEqual(found);
  });
});

const ask = (cache: CacheManager, options: EntryOptions, value: unknown) => cache.getOrSet('k', () => value, options);

describe('a cached value that does not match', () => {
  const shape = z.object({ id: z.number(), name: z.string() });

  it.each(['memory', 'disk'])('the schema is a miss, from %s', async (where) => {
    const directory = where === 'disk' ? await caches.directory() : false;
    let cache = await caches.open({ directory, clock: new FakeClock() });
    await cache.set('k', { id: 1 });
    if (where === 'disk') {
      await cache.close();
      cache = await caches.open({ directory, clock: new FakeClock() });
    }
    expect(await cache.get('k', { schema: shape })).toBeUndefined();
    expect(await ask(cache, { schema: shape }, { id: 1, name: 'a' })).toEqual({ id: 1, name: 'a' });
    expect(await ask(cache, { schema: shape }, { id: 2, name: 'b' })).toEqual({ id: 1, name: 'a' });
  });

  it('the version is a miss', async () => {
    const cache = await caches.open();
    expect(await ask(cache, { version: 1 }, 'one')).toBe('one');
    expect(await ask(cache, { version: 1 }, 'two')).toBe('one');
    expect(await ask(cache, { version: 2 }, 'three')).toBe('three');
  });
});
