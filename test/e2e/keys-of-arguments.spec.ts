import { describe, expect, it } from '@jest/globals';
import { Controller, Get, Inject, Injectable, Query, ValidationPipe, type Type } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { ExpressAdapter } from '@nestjs/platform-express';
import { Test } from '@nestjs/testing';
import {
  Cached,
  CacheInvalidate,
  CacheManager,
  CachePut,
  LaneCacheModule,
  type LaneCacheOptions,
} from '../../lib/index.js';

async function booted<T extends object>(service: Type<T>, options: LaneCacheOptions = {}) {
  const warnings: string[] = [];
  const logger = { log: () => undefined, error: () => undefined, warn: (text: string) => void warnings.push(text) };
  const app = await Test.createTestingModule({
    imports: [LaneCacheModule.forRoot({ directory: false, logger, ...options })],
    providers: [service],
  }).compile();
  await app.init();
  return { app, service: app.get(service), cache: app.get(CacheManager), warnings };
}

class CreateCat {
  constructor(
    readonly name: string,
    readonly age: number,
  ) {}
}

class Owner {
  constructor(readonly cat: CreateCat) {}
}

class Secret {
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  get length(): number {
    return this.#text.length;
  }
}

@Injectable()
class Cats {
  runs = 0;

  @Cached()
  async find(..._args: readonly unknown[]): Promise<number> {
    return ++this.runs;
  }

  @Cached({ key: 'cat:{0.name}' })
  async byTemplate(_cat: unknown): Promise<number> {
    return ++this.runs;
  }

  @Cached({ key: 'cat:{0.age}', tags: ['cats', 'cat:{0}'] })
  async byTag(_cat: unknown): Promise<number> {
    return ++this.runs;
  }

  @CachePut({ key: 'cat:{0.id}' })
  async put(_cat: unknown): Promise<number> {
    return ++this.runs;
  }

  @CacheInvalidate({ key: 'cat:{0.id}' })
  async change(_cat: unknown): Promise<number> {
    return ++this.runs;
  }
}

describe('an instance of a listed class as an argument', () => {
  it('gives a key, by its own fields and its class', async () => {
    const { app, service, cache, warnings } = await booted(Cats, {
      types: [CreateCat, { type: Owner, name: 'owner' }],
    });
    expect(await service.find(new CreateCat('Tom', 3))).toBe(1);
    expect(await service.find(new CreateCat('Tom', 3))).toBe(1);
    expect(await service.find(new CreateCat('Tom', 4))).toBe(2);
    expect(await service.find({ name: 'Tom', age: 3 })).toBe(3);
    expect(await service.find([new Owner(new CreateCat('Tom', 3))])).toBe(4);
    expect(await service.find([new Owner(new CreateCat('Tom', 3))])).toBe(4);
    const key = cache.keyFor(Cats, 'find', [new CreateCat('Tom', 3)]);
    expect(await cache.invalidate(key)).toBe(true);
    expect(warnings).toEqual([]);
    await app.close();
  });

  it('gives none if the class has private members, or a subclass made it', async () => {
    const { app, service } = await booted(Cats, { types: [Secret, CreateCat] });
    class Kitten extends CreateCat {}
    expect(await service.find(new Secret('a'))).toBe(1);
    expect(await service.find(new Secret('b'))).toBe(2);
    expect(await service.find(new Kitten('Tom', 1))).toBe(3);
    expect(await service.find(new Kitten('Tom', 1))).toBe(4);
    await app.close();
  });

  it('is what a ValidationPipe makes of a body', async () => {
    const { app, service } = await booted(Cats, { types: [CreateCat] });
    const pipe = new ValidationPipe({
      transform: true,
      validatorPackage: NO_VALIDATION,
      transformerPackage: TRANSFORM,
    });
    const body = async (): Promise<unknown> =>
      pipe.transform({ name: 'Tom', age: 3 }, { type: 'body', metatype: CreateCat });
    expect(await body()).toBeInstanceOf(CreateCat);
    expect(await service.find(await body())).toBe(1);
    expect(await service.find(await body())).toBe(1);
    await app.close();
  });
});

const NO_VALIDATION = { validate: async () => [] };
const made = <T>(type: new (...args: never[]) => T, plain: unknown): T =>
  Object.assign(Object.create(Object(type.prototype)), plain);
const TRANSFORM = { plainToClass: made, plainToInstance: made, classToPlain: Object, instanceToPlain: Object };

describe('the warning of a call without a key', () => {
  const cyclic: { self?: unknown } = {};
  cyclic.self = cyclic;

  it.each<[string, readonly unknown[], string]>([
    [
      'an unlisted class',
      [1, new CreateCat('Tom', 3)],
      'argument 1 is an instance of CreateCat. Give the method a key',
    ],
    [
      'an unlisted class inside',
      [{ of: [new CreateCat('Tom', 3)] }],
      'argument 0, at .of[0], is an instance of CreateCat',
    ],
    [
      'an unlisted class in a map',
      [new Map([['a', new Secret('')]])],
      'argument 0, at […][1], is an instance of Secret',
    ],
    ['a function', ['a', () => 1], 'argument 1 is a function. Give the method a key'],
    ['a symbol', [Symbol('a')], 'argument 0 is a symbol'],
    ['a promise', [Promise.resolve(1)], 'argument 0 is an instance of Promise'],
    ['a proxy', [new Proxy({}, {})], 'argument 0 is a Proxy'],
    [
      'a cycle',
      [cyclic],
      'argument 0, at .self.self.self.self.self.self.self.self, is an object that is too large, or has a cycle',
    ],
    [
      'an accessor',
      [
        {
          get a() {
            return 1;
          },
        },
      ],
      'argument 0 is an object that is too large, or has a cycle, accessors, symbols',
    ],
    [
      'an unnamed class',
      [
        new (class {
          readonly a = 1;
        })(),
      ],
      'argument 0 is an instance of an unnamed class',
    ],
  ])('names %s', async (_, args, text) => {
    const { app, service, warnings } = await booted(Cats);
    await service.find(...args);
    await service.find(...args);
    expect(service.runs).toBe(2);
    expect(warnings).toEqual([expect.stringContaining(`@Cached on Cats.find ran uncached: ${text}`)]);
    await app.close();
  });

  it('names the placeholder of a template, and what is there instead', async () => {
    const { app, service, warnings } = await booted(Cats);
    await service.byTemplate({ name: ['Tom'] });
    await service.byTag(new CreateCat('Tom', 3));
    await service.put({});
    await service.change(null);
    expect(warnings).toEqual([
      expect.stringContaining(
        "@Cached on Cats.byTemplate ran uncached: the template 'cat:{0.name}' needs a text, number, bigint or boolean at {0.name}, which is a list.",
      ),
      expect.stringContaining(
        "@Cached on Cats.byTag ran uncached: the template 'cat:{0}' needs a text, number, bigint or boolean at {0}, which is an instance of CreateCat.",
      ),
      expect.stringContaining('at {0.id}, which is undefined.'),
      expect.stringContaining("@CacheInvalidate on Cats.change had nothing to invalidate: the template 'cat:{0.id}'"),
    ]);
    await app.close();
  });
});

@Controller('cats')
class CatsController {
  runs = 0;

  constructor(@Inject(CacheManager) readonly cache: CacheManager) {}

  @Get()
  @Cached()
  async list(@Query() query: Readonly<Record<string, string>>): Promise<{ run: number; page: string | undefined }> {
    return { run: ++this.runs, page: query['page'] };
  }
}

describe.each([
  ['Express', () => new ExpressAdapter()],
  ['Fastify', () => new FastifyAdapter()],
])('the query of a request on %s', (_, adapter) => {
  it('is plain data', async () => {
    const warnings: string[] = [];
    const logger = { log: () => undefined, error: () => undefined, warn: (text: string) => void warnings.push(text) };
    const module = await Test.createTestingModule({
      imports: [LaneCacheModule.forRoot({ directory: false, logger })],
      controllers: [CatsController],
    }).compile();
    const app = module.createNestApplication<NestExpressApplication | NestFastifyApplication>(Object(adapter()));
    await app.listen(0, '127.0.0.1');
    const url = await app.getUrl();
    const get = async (query: string): Promise<unknown> => (await fetch(`${url}/cats?${query}`)).json();
    expect(await get('page=1&size=2')).toEqual({ run: 1, page: '1' });
    expect(await get('size=2&page=1')).toEqual({ run: 1, page: '1' });
    expect(await get('page=2')).toEqual({ run: 2, page: '2' });
    // a literal has the key of the query
    const { cache } = app.get(CatsController);
    expect(await cache.invalidate(cache.keyFor(CatsController, 'list', [{ page: '2' }]))).toBe(true);
    expect(await get('page=2')).toEqual({ run: 3, page: '2' });
    expect(warnings).toEqual([]);
    await app.close();
  });
});
