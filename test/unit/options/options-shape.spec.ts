import { describe, expect, it } from '@jest/globals';
import { isLaneCacheError, LaneCacheError } from '../../../lib/errors/lane-cache.error.js';
import { duration, freshness, size } from '../../../lib/lanes/lane-policy.js';
import type { FreshnessOptions } from '../../../lib/lanes/policy.js';
import {
  coded,
  count,
  either,
  finite,
  flag,
  fn,
  listOf,
  nonEmpty,
  objectWith,
  oneOf,
  record,
  recordOf,
  required,
  share,
  text,
  texts,
  whole,
  defineOptions,
} from '../../../lib/options/options-shape.js';

interface Cleanup {
  readonly keepLast?: number;
  readonly dryRun?: boolean;
  readonly lane?: string;
  readonly tags?: readonly string[];
  readonly disk?: { readonly maxBytes?: number };
}

const shape = defineOptions<Cleanup>(
  'cleanup',
  {
    keepLast: whole,
    dryRun: flag,
    lane: nonEmpty,
    tags: texts,
    disk: defineOptions<NonNullable<Cleanup['disk']>>('disk', { maxBytes: count }),
  },
  { elsewhere: { ttl: 'It belongs to a lane.' } },
);

function refusal(given: unknown, read: (given: unknown) => unknown = (value) => shape.read(value)): LaneCacheError {
  try {
    read(given);
  } catch (error) {
    if (isLaneCacheError(error)) return error;
    throw error;
  }
  throw new Error('It was accepted.');
}

const throwing = (name: string): object =>
  Object.defineProperty({}, name, {
    enumerable: true,
    get() {
      throw new TypeError('boom');
    },
  });

function revoked(target: object): unknown {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

class Inherited {
  get keepLast(): number {
    return 3;
  }
}

describe('the shape of options', () => {
  it('copies what it was declared with, and leaves out what is undefined', () => {
    const tags = ['a'];
    const taken = shape.read({ keepLast: 3, dryRun: undefined, tags, disk: { maxBytes: 5 } });
    expect(taken).toEqual({ keepLast: 3, tags: ['a'], disk: { maxBytes: 5 } });
    expect(Object.keys(taken)).not.toContain('dryRun');
    expect(taken.tags).not.toBe(tags);
  });

  it('does not compile without one of its options, or with a kind of another type', () => {
    interface Two {
      readonly one?: number;
      readonly two?: string;
    }
    // @ts-expect-error -- `two` is missing
    expect(defineOptions<Two>('two', { one: count }).names).toEqual(['one']);
    // @ts-expect-error -- `three` is no option
    expect(defineOptions<Two>('two', { one: count, two: text, three: text }).names).toHaveLength(3);
    // @ts-expect-error -- `two` is a text
    expect(defineOptions<Two>('two', { one: count, two: count }).names).toHaveLength(2);
  });

  it('takes nothing for no options', () => {
    expect(shape.read(undefined)).toEqual({});
  });

  it.each([
    ['keepLatest', 'keepLast'],
    ['keep_latest', 'keepLast'],
    ['keep', 'keepLast'],
    ['dryrun', 'dryRun'],
    ['dry-run', 'dryRun'],
    ['simulate', 'dryRun'],
    ['lanes', 'lane'],
    ['labels', 'tags'],
  ])('names the option that %s means: %s', (given, meant) => {
    const error = refusal({ [given]: 3 });
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID', field: given });
    expect(error.message).toBe(`cleanup: there is no option '${given}'. Did you mean '${meant}'?`);
  });

  it('names all options where none comes near', () => {
    expect(refusal({ colour: 1 }).message).toBe(
      "cleanup: there is no option 'colour'. Known options: keepLast, dryRun, lane, tags, disk.",
    );
  });

  it('says where an option belongs that belongs elsewhere', () => {
    expect(refusal({ ttl: 5 }).message).toBe("cleanup: there is no option 'ttl'. It belongs to a lane.");
  });

  it('refuses an unknown name whatever its value is', () => {
    expect(refusal({ keepLatest: undefined })).toMatchObject({ field: 'keepLatest' });
  });

  it.each<[unknown, string, string]>([
    [{ keepLast: '3' }, 'keepLast', "must be a whole number of 0 or more, not '3'"],
    [{ keepLast: -1 }, 'keepLast', 'not -1'],
    [{ keepLast: null }, 'keepLast', 'not null'],
    [{ keepLast: 5n }, 'keepLast', 'not 5'],
    [{ dryRun: 'true' }, 'dryRun', "must be true or false, not 'true'"],
    [{ dryRun: Symbol('yes') }, 'dryRun', 'not a symbol'],
    [{ lane: '' }, 'lane', "not ''"],
    [{ lane: 'x'.repeat(1_000) }, 'lane', ''],
    [{ tags: 'a' }, 'tags', "must be a list of texts, not 'a'"],
    [{ tags: ['a', 5] }, 'tags', 'not that list'],
    [{ disk: [] }, 'disk', 'must be an object with maxBytes, not that list'],
    [{ disk: { maxBytes: 0.5 } }, 'disk.maxBytes', 'must be a whole number of 1 or more, not 0.5'],
    [{ disk: { maxByte: 1 } }, 'disk.maxByte', "Did you mean 'maxBytes'?"],
  ])('refuses %p, naming %s', (given, field, words) => {
    if (words === '') return expect(shape.read(given)).toEqual(given);
    const error = refusal(given);
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID', field });
    expect(error.message).toContain(words);
  });

  it.each<[string, unknown]>([
    ['null', null],
    ['a number', 5],
    ['a text', 'keepLast'],
    ['a function', () => ({ keepLast: 3 })],
    ['a list', [{ keepLast: 3 }]],
    ['a map', new Map([['keepLast', 3]])],
    ['a date', new Date(0)],
    ['a promise', Promise.resolve({ keepLast: 3 })],
    ['an abort signal', new AbortController().signal],
  ])('refuses %s for options', (_, given) => {
    expect(refusal(given).message).toMatch(/^cleanup: the options must be an object with any of keepLast, dryRun/);
  });

  it.each<[string, unknown, string | undefined]>([
    ['a getter that throws', throwing('keepLast'), 'keepLast'],
    ['a getter below that throws', { disk: throwing('maxBytes') }, 'disk.maxBytes'],
    ['a proxy that was revoked', revoked({}), undefined],
    ['a list that was revoked', { tags: revoked([]) }, undefined],
  ])('gives an error of its own, with the cause, for %s', (_, given, field) => {
    const error = refusal(given);
    expect(error.code).toBe('OPTIONS_INVALID');
    expect(error.field).toBe(field);
    expect(error.cause).toBeInstanceOf(TypeError);
  });

  it('refuses symbols for names', () => {
    expect(refusal({ [Symbol('keepLast')]: 3 }).message).toContain('no symbols');
  });

  it('reads each option once', () => {
    let reads = 0;
    const given = {
      get keepLast() {
        reads += 1;
        return reads;
      },
    };
    expect(shape.read(given)).toEqual({ keepLast: 1 });
    expect(reads).toBe(1);
  });

  it.each<[string, unknown]>([
    ['without a prototype', Object.assign(Object.create(null), { keepLast: 3 })],
    ['by inheritance', Object.create({ keepLast: 3 })],
    ['as accessors of a class', new Inherited()],
    ['through a proxy', new Proxy({ keepLast: 3 }, {})],
  ])('takes options that are there %s', (_, given) => {
    expect(shape.read(given)).toEqual({ keepLast: 3 });
  });

  it.each<[string, unknown]>([
    ['by inheritance', Object.create({ keepLatest: 3 })],
    ['by the name of a prototype', JSON.parse('{"__proto__": {"keepLast": 3}}')],
    ['by a name that objects have', { toString: 3 }],
  ])('refuses unknown names that are there %s', (_, given) => {
    expect(refusal(given).code).toBe('OPTIONS_INVALID');
  });

  it('keeps a name of any length short in its text', () => {
    expect(refusal({ ['x'.repeat(10_000)]: 1 }).message.length).toBeLessThan(250);
    expect(refusal({ keepLast: 'x'.repeat(10_000) }).message.length).toBeLessThan(250);
  });

  it('says whose the options are, in which lane and below which path', () => {
    const read = (given: unknown): unknown =>
      shape.read(given, { whose: '@Cached on Docs.render', lane: 'docs', path: 'lanes.docs' });
    const error = refusal({ dryRun: 1 }, read);
    expect(error).toMatchObject({ lane: 'docs', field: 'lanes.docs.dryRun' });
    expect(error.message).toBe("@Cached on Docs.render: 'lanes.docs.dryRun' must be true or false, not 1.");
  });

  it('gives the code of the kind before that of the shape', () => {
    const timed = defineOptions<{ readonly ttl?: number; readonly step?: number }>(
      'timed',
      { ttl: coded('TTL_INVALID', finite), step: finite },
      { code: 'DECORATOR_INVALID' },
    );
    const read = (given: unknown): unknown => timed.read(given);
    expect(refusal({ ttl: 'x' }, read).code).toBe('TTL_INVALID');
    expect(refusal({ step: 'x' }, read).code).toBe('DECORATOR_INVALID');
    expect(refusal({ steps: 1 }, read).code).toBe('DECORATOR_INVALID');
  });

  it('refuses options without one that must be there', () => {
    const put = defineOptions<{ readonly key: string }>('put', { key: required(text) });
    expect(refusal({}, (given) => put.read(given)).message).toBe("put: 'key' is missing. It must be a text.");
  });
});

describe('the kinds of values', () => {
  it.each<[string, ReturnType<typeof either>, unknown, unknown]>([
    ['a share', share, 0.5, 1],
    ['one of several', oneOf('a', 'b'), 'b', 'c'],
    ['the one', oneOf(true), true, false],
    ['a number or false', either(count, oneOf(false)), false, true],
    ['a text or a function', either(text, fn), String, 5],
    ['a list of either', listOf(either(text, fn), 'either'), ['a', String], [5]],
    ['a record', record, { a: 1 }, new Map()],
    ['a record of numbers', recordOf(finite), { a: 1 }, [1]],
    ['an object with methods', objectWith<Map<string, string>>('a map', 'get'), new Map(), {}],
    ['a duration', duration, '5m', '5 minutes'],
    ['a size', size, '5MB', '5 megabytes'],
  ])('take %s, and nothing else', (_, kind, right, wrong) => {
    expect(kind.take(right, '')).toEqual(right);
    expect(kind.take(wrong, '')).toBeUndefined();
  });

  it('name the value of a record that is wrong', () => {
    const days = defineOptions<{ readonly days?: Readonly<Record<string, number>> }>('keep', {
      days: recordOf(finite),
    });
    expect(refusal({ days: { docs: '7' } }, (given) => days.read(given))).toMatchObject({ field: 'days.docs' });
  });

  it('of freshness are those that the place gives', () => {
    const fresh = defineOptions<FreshnessOptions>('fresh', freshness(duration));
    expect(fresh.read({ grace: '1h', refreshAhead: 0.8 })).toEqual({ grace: '1h', refreshAhead: 0.8 });
  });
});
