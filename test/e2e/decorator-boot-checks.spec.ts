import { describe, expect, it } from '@jest/globals';
import { Controller, Inject, Injectable, Scope, type ModuleMetadata } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { CacheInvalidate } from '../../lib/decorators/cache-invalidate.decorator.js';
import { CachePut } from '../../lib/decorators/cache-put.decorator.js';
import { Checkpointed } from '../../lib/decorators/checkpointed.decorator.js';
import { Cached, type CachedOptions } from '../../lib/decorators/cached.decorator.js';
import { fakeCacheModule } from '../support/fake-cache.module.js';
import { FakeLaneManager } from '../support/fake-lane-manager.js';

const saying = (text: string) => ({ error: { message: expect.stringContaining(text) } });

/** Boots an app. Returns the error of the boot, if there is one, and the warnings. */
async function boot(metadata: ModuleMetadata) {
  const manager = new FakeLaneManager();
  const app = await Test.createTestingModule({ ...metadata, imports: [fakeCacheModule(manager)] }).compile();
  const error: unknown = await app.init().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  await app.close();
  return { manager, error };
}

function named(name: string, options: CachedOptions = {}) {
  class Named {
    @Cached(options)
    async load(_id: string): Promise<void> {}
  }
  Object.defineProperty(Named, 'name', { value: name });
  return Named;
}

describe('at boot', () => {
  it('two classes of one name fail with an error that names both and the remedy', async () => {
    const { error, manager } = await boot({
      providers: [
        { provide: 'a', useClass: named('Docs') },
        { provide: 'b', useClass: named('Docs') },
      ],
    });
    expect(error).toMatchObject({ code: 'DECORATOR_INVALID', message: expect.stringContaining("name: 'Other.load'") });
    expect(error).toMatchObject({ message: expect.stringContaining('Docs.load and another Docs.load') });
    expect(manager.closed).toBe(1);
  });

  it('two methods of one name fail too, also on an instance from a factory', async () => {
    const First = named('First', { name: 'Same' });
    const Second = named('Second', { name: 'Same' });
    const { error } = await boot({ providers: [First, { provide: 'b', useFactory: () => new Second() }] });
    expect(error).toMatchObject({ code: 'DECORATOR_INVALID', message: expect.stringContaining("'Same'") });
  });

  it('names keep two classes apart, and one class may be provided many times', async () => {
    const First = named('Docs', { name: 'First' });
    const Second = named('Docs');
    const { error } = await boot({
      providers: [First, Second, { provide: 'again', useClass: First }, { provide: 'alias', useExisting: First }],
    });
    expect(error).toBeUndefined();
  });

  it('several instances of a class from factories cause a warning that names them', async () => {
    const [Twice, Once, Keyed, Alias] = [
      named('Twice'),
      named('Once'),
      named('Keyed', { key: (id) => `keyed:${id}` }),
      named('Alias'),
    ];
    const { error, manager } = await boot({
      providers: [
        { provide: 'orders', useFactory: () => new Twice() },
        { provide: 'users', useValue: new Twice() },
        { provide: 'third', useFactory: () => new Twice() },
        Once,
        { provide: 'once', useFactory: () => new Once() },
        { provide: 'keyed', useFactory: () => new Keyed() },
        { provide: 'keyed again', useFactory: () => new Keyed() },
        { provide: 'alias', useFactory: () => new Alias() },
        { provide: 'same', useExisting: 'alias' },
      ],
    });
    expect(error).toBeUndefined();
    expect(manager.warnings).toEqual([expect.stringMatching(/^@Cached on Twice\.load: .*\(orders, users\).*this/)]);
  });

  it('classes with keys of their own may share a name', async () => {
    const First = named('Docs', { key: 'a:{0}' });
    const Second = named('Docs', { key: 'b:{0}' });
    expect((await boot({ providers: [First, Second] })).error).toBeUndefined();
  });

  it.each([
    ['@Cached', Cached('marble')],
    ['@CachePut', CachePut({ lane: 'marble', key: 'k:{0}' })],
    ['@CacheInvalidate', CacheInvalidate({ lane: 'marble', key: 'k:{0}' })],
  ])(
    'a lane that %s names but that is not defined fails with an error that names the place',
    async (decorator, decorate) => {
      class Docs {
        @decorate
        async load(_id: string): Promise<void> {}
      }
      const { error } = await boot({ providers: [Docs] });
      expect(error).toMatchObject({ code: 'LANE_UNKNOWN', lane: 'marble', known: ['docs', 'standard', 'heavy'] });
      expect(error).toMatchObject({
        message: expect.stringContaining(`${decorator} on Docs.load: there is no lane 'marble'`),
      });
    },
  );

  describe('a class with one instance per request', () => {
    @Injectable({ scope: Scope.REQUEST })
    class Tenant {}

    @Injectable()
    class Database {
      constructor(@Inject(Tenant) readonly tenant: Tenant) {}
    }

    it('may not be cached without a key, and the error names the reason for its scope', async () => {
      @Injectable()
      class Reports {
        constructor(@Inject(Database) readonly database: Database) {}

        @Cached()
        async load(_id: string): Promise<void> {}
      }
      const { error } = await boot({ providers: [Tenant, Database, Reports] });
      expect(error).toMatchObject({
        code: 'DECORATOR_INVALID',
        message: expect.stringContaining('@Cached on Reports.load'),
      });
      expect(error).toMatchObject({
        message: expect.stringContaining('it depends on Database, which depends on Tenant'),
      });
    });

    it('is recognized by its own scope, by a property and by the injected request', async () => {
      @Injectable({ scope: Scope.REQUEST })
      class Own {
        @Cached()
        async load(): Promise<void> {}
      }
      class ByProperty {
        @Inject(Tenant) readonly tenant?: Tenant;

        @Cached()
        async load(): Promise<void> {}
      }
      @Controller()
      class ByRequest {
        constructor(@Inject(REQUEST) readonly request: unknown) {}

        @Cached()
        async load(): Promise<void> {}
      }
      const reasons = await Promise.all([
        boot({ providers: [Own] }),
        boot({ providers: [Tenant, ByProperty] }),
        boot({ controllers: [ByRequest] }),
      ]);
      expect(reasons).toMatchObject([
        saying('it is declared with Scope.REQUEST'),
        saying('it depends on Tenant,'),
        saying('it depends on REQUEST,'),
      ]);
    });

    it('may be cached under a key, and may put and invalidate', async () => {
      @Injectable({ scope: Scope.REQUEST })
      class Session {
        @Cached({ key: 'session:{0}' })
        async load(_user: string): Promise<void> {}

        @CacheInvalidate({ key: 'session:{0}' })
        async end(_user: string): Promise<void> {}
      }
      expect((await boot({ providers: [Session] })).error).toBeUndefined();
    });

    it('is not a transient class', async () => {
      @Injectable({ scope: Scope.TRANSIENT })
      class Renderer {
        @Cached()
        async load(): Promise<void> {}
      }
      expect((await boot({ providers: [Renderer] })).error).toBeUndefined();
    });
  });

  describe('a method that stores under a template', () => {
    class Animals {
      @Cached({ key: 'one:{0}' })
      async one(_id: number): Promise<string> {
        return this.constructor.name;
      }
    }
    class Cats extends Animals {}
    class Dogs extends Animals {}

    it('may not be inherited by two classes, because each would get what the other stored', async () => {
      const { error } = await boot({ providers: [Cats, { provide: 'dogs', useFactory: () => new Dogs() }] });
      expect(error).toMatchObject({ code: 'DECORATOR_INVALID' });
      for (const part of ['@Cached on Animals.one', 'Cats and Dogs', "'one:{0}'", 'this.constructor.name']) {
        expect(error).toMatchObject({ message: expect.stringContaining(part) });
      }
      expect((await boot({ providers: [Animals, Cats] })).error).toMatchObject({ code: 'DECORATOR_INVALID' });
    });

    it('may be inherited by one, provided as often as you like', async () => {
      const { error } = await boot({ providers: [Cats, { provide: Animals, useClass: Cats }] });
      expect(error).toBeUndefined();
    });

    it.each([
      ['@CachePut', CachePut({ key: 'one:{0}' })],
      ['@Checkpointed', Checkpointed({ id: 'one:{0}' })],
    ])('is one with %s, too', async (name, decorate) => {
      class Base {
        @decorate
        async one(_id: number): Promise<void> {}
      }
      const { error } = await boot({
        providers: [
          { provide: 'a', useClass: class A extends Base {} },
          { provide: 'b', useClass: class B extends Base {} },
        ],
      });
      expect(error).toMatchObject({
        message: expect.stringContaining(`${name} on Base.one: A and B share the method`),
      });
    });

    it('is one where a mixin declares it for each class anew', async () => {
      const mixed = () => {
        class Mixed {
          @Cached({ key: 'one:{0}' })
          async one(_id: number): Promise<void> {}

          @Cached()
          async other(_id: number): Promise<void> {}
        }
        return Mixed;
      };
      class A extends mixed() {}
      class B extends mixed() {}
      expect((await boot({ providers: [A, B] })).error).toMatchObject({
        code: 'DECORATOR_INVALID',
        message: expect.stringContaining('@Cached on Mixed.one: A and B share the method'),
      });
    });

    it('is none with a function for the key, or with the default key', async () => {
      class Base {
        @Cached({
          key(id) {
            return `${this.constructor.name}:${id}`;
          },
        })
        async byFunction(_id: number): Promise<void> {}

        @Cached()
        async byDefault(_id: number): Promise<void> {}

        @CacheInvalidate({ key: 'one:{0}' })
        async change(_id: number): Promise<void> {}
      }
      class A extends Base {}
      class B extends Base {}
      expect((await boot({ providers: [A, B] })).error).toBeUndefined();
    });
  });

  it('constant tags beside templates cause no warning', async () => {
    class Docs {
      @Cached({ tags: ['pages', 'page:{0}'] })
      async load(_id: string): Promise<void> {}

      @CachePut({ key: 'doc:{0}', tags: ['pages', 'page:{0}'] })
      async put(_id: string): Promise<void> {}
    }
    expect((await boot({ providers: [Docs] })).manager.warnings).toEqual([]);
  });

  it('templates that use a missing argument, or none, cause a warning', async () => {
    class Docs {
      @Cached({ key: 'doc:{1}' })
      async beyond(_id: string): Promise<void> {}

      @Cached({ key: 'doc' })
      async shared(_id: string): Promise<void> {}

      @Cached({ key: 'doc:{0}:{1}', tags: ['docs'] })
      async fine(_id: string, _lang = 'en'): Promise<void> {}

      @Cached({ key: 'all' })
      async nothingToUse(): Promise<void> {}

      @CacheInvalidate({ key: ['all', 'doc:{2}'], pattern: 'page:*' })
      async save(_id: string): Promise<void> {}
    }
    const { error, manager } = await boot({ providers: [Docs] });
    expect(error).toBeUndefined();
    expect(manager.warnings).toEqual([
      "@Cached on Docs.beyond: the template 'doc:{1}' names argument 1, but the method declares 1; counting starts at 0.",
      "@Cached on Docs.shared: the template 'doc' uses none of the arguments, so that all calls share it.",
      "@CacheInvalidate on Docs.save: the template 'doc:{2}' names argument 2, but the method declares 1; counting starts at 0.",
    ]);
  });
});
