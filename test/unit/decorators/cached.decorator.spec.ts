import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger, SetMetadata } from '@nestjs/common';
import { isDeepStrictEqual } from 'node:util';
import { cachedKeyFor } from '../../../lib/decorators/keys.js';
import type { AsyncMethodDecorator } from '../../../lib/decorators/method-registry.js';
import { CacheInvalidate } from '../../../lib/decorators/cache-invalidate.decorator.js';
import { CachePut } from '../../../lib/decorators/cache-put.decorator.js';
import { Checkpointed } from '../../../lib/decorators/checkpointed.decorator.js';
import { Cached, type CachedOptions } from '../../../lib/decorators/cached.decorator.js';
import { setManager, INJECTED } from '../../../lib/decorators/method-wrapper.js';
import { FakeLaneManager } from '../../support/fake-lane-manager.js';

let warn: jest.SpiedFunction<Logger['warn']>;

beforeEach(() => {
  warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
});

afterEach(() => {
  warn.mockRestore();
});

interface Doc {
  readonly id: string;
  readonly words: number;
}

/** A class with one cached method, and an instance with a manager, as Nest creates it. */
function decoratedDocs(decorator: AsyncMethodDecorator) {
  class Docs {
    calls = 0;

    @decorator
    async find(id: unknown, ..._rest: unknown[]): Promise<Doc> {
      this.calls++;
      return { id: String(id), words: this.calls };
    }
  }
  const manager = new FakeLaneManager();
  const docs = new Docs();
  setManager(docs, manager.asManager);
  return { Docs, docs, manager };
}

const cachedDocs = (options: CachedOptions = {}) => decoratedDocs(Cached(options));

/** For arguments that TypeScript rejects. */
const looselyCached: (...given: readonly unknown[]) => AsyncMethodDecorator = (...given) =>
  Reflect.apply(Cached, undefined, given);

/** Applies a decorator without its syntax. */
const decorate = (...at: readonly unknown[]): unknown => Reflect.apply(Cached(), undefined, at);

describe('@Cached', () => {
  it('runs the method once per list of arguments', async () => {
    const { docs, manager } = cachedDocs();
    expect(await docs.find('a')).toEqual({ id: 'a', words: 1 });
    expect(await docs.find('a')).toEqual({ id: 'a', words: 1 });
    expect(await docs.find('b')).toEqual({ id: 'b', words: 2 });
    expect([...manager.entries.keys()]).toHaveLength(2);
  });

  it('takes lane, ttl and tags in order, or as options', async () => {
    const options = { lane: 'docs', ttl: '5m', tags: ['render'] } as const;
    for (const decorator of [Cached('docs', '5m', ['render']), Cached(options)]) {
      const { docs, manager } = decoratedDocs(decorator);
      await docs.find('a');
      expect([...manager.forLane('docs').entries.values()]).toMatchObject([{ ttl: '5m', tags: ['render'] }]);
      expect(manager.entries.size).toBe(0);
    }
  });

  it('passes freshness options, isolation, schema and version to the lane unchanged', async () => {
    const given = { grace: '1m', refreshAhead: 0.8, isolation: 'clone', version: 2, forceFresh: true } as const;
    const { docs, manager } = cachedDocs({ ...given, key: 'k:{0}', condition: () => true });
    await docs.find('a');
    expect(manager.entries.get('k:a')?.options).toEqual(given);
  });

  it('reuses one options object for all calls when nothing in it depends on the arguments', async () => {
    const { docs, manager } = cachedDocs({ ttl: 60, tags: ['t'] });
    await docs.find('a');
    await docs.find('b');
    const [first, second] = [...manager.entries.values()];
    expect(first?.options).toBe(second?.options);
  });

  it('makes keys and tags from templates and functions', async () => {
    const byTemplate = cachedDocs({ key: 'doc:{0}', tags: ['doc:{0}', 'docs'] });
    await byTemplate.docs.find('a');
    expect(byTemplate.manager.entries.get('doc:a')?.tags).toEqual(['doc:a', 'docs']);

    const byFunction = cachedDocs({ key: (id: string) => `d:${id}`, tags: (id: string) => [`t:${id}`] });
    await byFunction.docs.find('a');
    expect(byFunction.manager.entries.get('d:a')?.tags).toEqual(['t:a']);
  });

  it('makes tags and the ttl from the result', async () => {
    const { docs, manager } = cachedDocs({
      key: 'k:{0}',
      tags: ['docs'],
      resultTags: (doc: Doc, id: string) => [`words:${doc.words}`, `asked:${id}`],
      ttl: (doc: Doc) => (doc.words > 0 ? '1h' : '1s'),
    });
    await docs.find('a');
    expect(manager.entries.get('k:a')).toMatchObject({ tags: ['docs', 'words:1', 'asked:a'], ttl: '1h' });
  });

  it('does not store what `unless` is true for', async () => {
    const { docs, manager } = cachedDocs({ key: 'k:{0}', unless: (doc: Doc) => doc.words < 2 });
    await docs.find('a');
    await docs.find('a');
    expect(manager.refused).toEqual(['unless']);
    expect(manager.entries.get('k:a')?.value).toEqual({ id: 'a', words: 2 });
  });

  it('runs past the cache when `condition` is false', async () => {
    const { docs, manager } = cachedDocs({ key: 'k:{0}', condition: (id: string) => id !== 'draft' });
    await docs.find('draft');
    await docs.find('draft');
    expect(docs.calls).toBe(2);
    expect(manager.calls).toEqual(Array(2).fill('bypass condition @Cached on Docs.find'));
  });

  it.each([
    ['an argument no key can be made from', {}, () => 'a function'],
    ['a missing value in the key', { key: 'k:{0.id}' }, { name: 'no id' }],
    ['a missing value in a tag', { key: 'k', tags: ['t:{0.id}'] }, null],
    ['a key that would be empty', { key: '{0}' }, ''],
  ])('runs past the cache for %s, counts it and warns once', async (_, options, argument) => {
    const { docs, manager } = cachedDocs(options);
    await docs.find(argument);
    await docs.find(argument);
    expect(docs.calls).toBe(2);
    expect(manager.calls).toEqual(Array(2).fill('bypass unkeyable-arguments @Cached on Docs.find'));
    expect(manager.warnings).toEqual([expect.stringContaining('@Cached on Docs.find ran uncached')]);
  });

  it.each(['key', 'tags', 'condition', 'unless', 'resultTags', 'ttl'])(
    'runs the method uncached if %s throws, and reports it',
    async (option) => {
      const mine = new Error('mine');
      const { docs, manager } = cachedDocs({
        [option]: () => {
          throw mine;
        },
      });
      await expect(docs.find('a')).resolves.toBeDefined();
      expect(manager.faults).toMatchObject([{ collaborator: 'decorator', error: mine }]);
    },
  );

  it('awaits a method that is not async, and turns what it throws into a rejection', async () => {
    class Plain {
      @Cached({ key: 'k' })
      find(): Promise<number> {
        throw new Error('at once');
      }
    }
    class Refused {
      // @ts-expect-error a method that returns no promise does not compile under @Cached
      @Cached({ key: 'k' })
      size(): number {
        return 1;
      }
    }
    expect(new Refused().size()).toBeInstanceOf(Promise);
    const plain = new Plain();
    await expect(plain.find()).rejects.toThrow('at once');
    setManager(plain, new FakeLaneManager().asManager);
    await expect(plain.find()).rejects.toThrow('at once');
  });
});

describe('the default key', () => {
  class Base {
    @Cached()
    async load(id: string): Promise<string> {
      return `base ${id}`;
    }
  }
  class First extends Base {}
  class Second extends Base {
    @Cached()
    override async load(id: string): Promise<string> {
      return `second over ${await super.load(id)}`;
    }
  }

  it('begins with the class of the instance, not the one that declares the method', () => {
    expect(cachedKeyFor(First, 'load', ['a'])).toMatch(/^First\.load:/);
    expect(cachedKeyFor(Base, 'load', ['a'])).toMatch(/^Base\.load:/);
  });

  it('differs between an overriding method and the one it calls through super', async () => {
    const manager = new FakeLaneManager();
    const second = new Second();
    setManager(second, manager.asManager);
    expect(await second.load('a')).toBe('second over base a');
    const keys = [...manager.entries.keys()];
    expect(new Set(keys.map((key) => key.slice(0, key.indexOf(':'))))).toEqual(
      new Set(['Second.load', 'Second.load>Base']),
    );
    expect(keys).toContain(cachedKeyFor(Second, 'load', ['a']));
  });

  it('begins with `name` if it is set', () => {
    const { Docs } = cachedDocs({ name: 'Handbook.find' });
    expect(cachedKeyFor(Docs, 'find', ['a'])).toMatch(/^Handbook\.find:/);
  });

  it('is returned by keyFor, also for methods with a key of their own and with symbol names', () => {
    const named = Symbol('named');
    class Docs {
      @Cached({ key: 'doc:{0}' })
      async find(_id: string): Promise<void> {}

      @Cached()
      async [named](): Promise<void> {}

      async plain(): Promise<void> {}
    }
    expect(cachedKeyFor(Docs, 'find', ['a'])).toBe('doc:a');
    expect(cachedKeyFor(Docs, named, [])).toMatch(/^Docs\.Symbol\(named\):/);
    expect(() => cachedKeyFor(Docs, 'plain', [])).toThrow('Docs.plain has no @Cached');
    expect(() => cachedKeyFor(Docs, 'find', [undefined])).toThrow('give no key');
  });
});

describe('a class with @Cached', () => {
  it('compares, prints and copies as if it had no manager', () => {
    const { docs, Docs } = cachedDocs();
    const bare = new Docs();
    expect(docs).toEqual(bare);
    expect(docs).toStrictEqual(bare);
    expect(isDeepStrictEqual(docs, bare)).toBe(true);
    expect(JSON.stringify(docs)).toBe('{"calls":0}');
    expect(Reflect.ownKeys(Object.assign({}, docs))).toEqual(['calls']);
    expect(Reflect.get(docs, INJECTED)).toBeInstanceOf(FakeLaneManager);
  });

  it('keeps the name, length and metadata of its methods', () => {
    class Docs {
      @Cached()
      @SetMetadata('route', '/docs')
      async find(_id: string, _lang: string): Promise<void> {}
    }
    const find = Object.getOwnPropertyDescriptor(Docs.prototype, 'find')?.value;
    expect([find.name, find.length]).toEqual(['find', 2]);
    expect(Reflect.getMetadata('route', find)).toBe('/docs');
  });

  it('runs uncached if Nest did not make it, with one warning per class', async () => {
    class Docs {
      calls = 0;

      @Cached()
      async find(): Promise<number> {
        return ++this.calls;
      }
    }
    class More extends Docs {}
    const docs = new Docs();
    expect([await docs.find(), await docs.find(), await new Docs().find()]).toEqual([1, 2, 1]);
    expect(await new More().find()).toBe(1);
    expect(warn.mock.calls).toEqual([
      [expect.stringContaining('@Cached on Docs.find runs uncached: this Docs was not made by Nest')],
      [expect.stringContaining('this More was not made by Nest')],
    ]);
  });
});

describe('@Cached refuses when the class is declared', () => {
  it.each([
    [{ tll: 5 }, "@Cached on Docs.find: there is no option 'tll'. Did you mean 'ttl'?"],
    [{ signal: 1 }, "no option 'signal'. Known options: lane"],
    [{ key: 'doc:{x}' }, "the template 'doc:{x}'"],
    [{ key: '' }, 'a key must be a text'],
    [{ tags: ['ok', '{'] }, "the template '{'"],
    [{ tags: 'docs' }, "'tags' must be a list"],
    [{ tags: [7] }, "'tags' must be a list"],
    [{ lane: 3 }, "'lane' must be the name of a lane"],
    [{ name: '' }, "'name' must be a text"],
    [{ condition: true }, "'condition' must be a function"],
  ])('%p', (options, text) => {
    expect(() => decoratedDocs(looselyCached(options))).toThrow(expect.objectContaining({ code: 'DECORATOR_INVALID' }));
    expect(() => decoratedDocs(looselyCached(options))).toThrow(text);
  });

  it.each([{ ttl: -1 }, { ttl: Number.NaN }, { grace: 'soon' }])('a duration such as %p', (options) => {
    expect(() => decoratedDocs(looselyCached(options))).toThrow(expect.objectContaining({ code: 'TTL_INVALID' }));
  });

  it('options beside a ttl or tags', () => {
    expect(() => decoratedDocs(Cached({ key: 'k:{0}' }, '5m'))).toThrow('takes a lane, a ttl and tags, or one object');
    expect(() => decoratedDocs(Cached({ key: 'k:{0}' }, undefined, ['t']))).toThrow('Put all into the object');
  });

  it.each([
    ['@Cached', Cached()],
    ['@CachePut', CachePut({ key: 'k:{0}' })],
    ['@CacheInvalidate', CacheInvalidate({ key: 'k:{0}' })],
    ['@Checkpointed', Checkpointed({ id: 'k:{0}' })],
  ])('what %s cannot wrap: generators, classes, fields and parameters', (name, decorate) => {
    class Docs {
      async *rows(): AsyncGenerator<number> {
        yield 1;
      }
      *numbers(): Generator<number> {
        yield 1;
      }
    }
    const on =
      (...given: readonly unknown[]) =>
      () =>
        Reflect.apply(decorate, undefined, given);
    const { prototype } = Docs;
    const invalid = (text: string) =>
      expect.objectContaining({ code: 'DECORATOR_INVALID', message: expect.stringContaining(`${name} ${text}`) });
    for (const method of ['rows', 'numbers']) {
      const descriptor = Object.getOwnPropertyDescriptor(prototype, method);
      expect(on(prototype, method, descriptor)).toThrow(invalid(`cannot decorate the generator ${method}`));
    }
    expect(on(Docs)).toThrow(invalid('can only decorate a method, not the class Docs'));
    expect(on(prototype, 'field', undefined)).toThrow(invalid("can only decorate a method; 'field' is not"));
    expect(on(prototype, 'rows', 0)).toThrow(invalid("can only decorate a method; 'rows' is not"));
  });

  it('static methods, accessors and the decorators of another kind', () => {
    const { Docs } = cachedDocs();
    expect(() => decorate(Docs, 'all', { value: () => undefined })).toThrow(
      '@Cached cannot decorate the static method Docs.all',
    );
    expect(() => decorate(Docs.prototype, 'size', { get: () => 1 })).toThrow(
      "can only decorate a method; 'size' is not a method",
    );
    expect(() => decorate(() => undefined, { kind: 'method' })).toThrow('experimentalDecorators');
  });
});
