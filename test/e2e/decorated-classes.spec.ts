import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  Controller,
  Get,
  Inject,
  Injectable,
  Logger,
  Module,
  Param,
  Scope,
  SetMetadata,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
  type ModuleMetadata,
} from '@nestjs/common';
import { ContextIdFactory, ModuleRef, Reflector, REQUEST } from '@nestjs/core';
import { Test, type TestingModule } from '@nestjs/testing';
import { Cached } from '../../lib/decorators/cached.decorator.js';
import { fakeCacheModule } from '../support/fake-cache.module.js';
import { FakeLaneManager } from '../support/fake-lane-manager.js';

const TWICE = Symbol('twice');

@Injectable()
class Docs {
  calls = 0;

  @Cached()
  async render(id: string): Promise<string> {
    return `${id} #${++this.calls}`;
  }

  @Cached('docs')
  async [TWICE](id: string): Promise<string> {
    return `${await this.render(id)} and ${await this.render(id)}`;
  }
}

abstract class Repository {
  calls = 0;

  @Cached()
  async load(id: string): Promise<string> {
    return `${this.constructor.name} ${id} #${++this.calls}`;
  }
}

@Injectable()
class Users extends Repository {}

@Injectable()
class Orders extends Repository {
  @Cached()
  override async load(id: string): Promise<string> {
    return `order ${await super.load(id)}`;
  }
}

@Injectable({ scope: Scope.REQUEST })
class Session {
  calls = 0;

  constructor(@Inject(REQUEST) private readonly request: { readonly user: string }) {}

  @Cached({ key: 'greeting:{0}' })
  async greet(user: string): Promise<string> {
    return `${this.request.user} greets ${user}`;
  }
}

@Injectable({ scope: Scope.TRANSIENT })
class Renderer {
  static runs = 0;

  @Cached()
  async render(id: string): Promise<string> {
    return `${id} #${++Renderer.runs}`;
  }
}

describe('decorated classes in a Nest app', () => {
  const open: { close(): Promise<void> }[] = [];
  let warn: jest.SpiedFunction<Logger['warn']>;

  async function boot(metadata: ModuleMetadata): Promise<{ app: TestingModule; manager: FakeLaneManager }> {
    const manager = new FakeLaneManager();
    const imports = [fakeCacheModule(manager), ...(metadata.imports ?? [])];
    const app = await Test.createTestingModule({ ...metadata, imports }).compile();
    open.push(app);
    await app.init();
    return { app, manager };
  }

  beforeEach(() => {
    warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
  });

  afterEach(async () => {
    warn.mockRestore();
    await Promise.all(open.splice(0).map((app) => app.close()));
  });

  it('are cached as singletons, under symbol names and in calls of their own methods', async () => {
    const { app, manager } = await boot({ providers: [Docs] });
    const docs = app.get(Docs);
    expect(await docs[TWICE]('a')).toBe('a #1 and a #1');
    expect(await docs.render('a')).toBe('a #1');
    expect(manager.forLane('docs').entries.size).toBe(1);
    expect(manager.entries.size).toBe(1);
  });

  it('are cached as subclasses, each under its own name, and over super', async () => {
    const { app } = await boot({ providers: [Users, Orders] });
    expect(await app.get(Users).load('1')).toBe('Users 1 #1');
    expect(await app.get(Orders).load('1')).toBe('order Orders 1 #1');
    expect(await app.get(Users).load('1')).toBe('Users 1 #1');
    expect(await app.get(Orders).load('1')).toBe('order Orders 1 #1');
  });

  it('are cached in request scope, and stay so for the next request', async () => {
    const { app } = await boot({ providers: [Session] });
    const sessionOf = async (user: string) => {
      const context = ContextIdFactory.create();
      app.registerRequestByContextId({ user }, context);
      return app.resolve(Session, context);
    };
    const ada = await sessionOf('ada');
    const bob = await sessionOf('bob');
    expect(ada).not.toBe(bob);
    expect(await ada.greet('eve')).toBe('ada greets eve');
    expect(await bob.greet('eve')).toBe('ada greets eve');
    expect(await bob.greet('mallory')).toBe('bob greets mallory');
  });

  it('are cached in transient scope, and when made by ModuleRef', async () => {
    const { app } = await boot({ providers: [Renderer] });
    const first = await app.resolve(Renderer);
    const second = await app.resolve(Renderer);
    const late = await app.get(ModuleRef).create(Renderer);
    expect(new Set([first, second, late]).size).toBe(3);
    expect([await first.render('a'), await second.render('a'), await late.render('a')]).toEqual(Array(3).fill('a #1'));
  });

  it('stay singletons: the manager does not make them request-scoped', async () => {
    const { app } = await boot({ providers: [Docs] });
    expect(await app.resolve(Docs).catch(() => app.get(Docs))).toBe(app.get(Docs));
  });

  it('are cached when a factory or a value provides them', async () => {
    const made = new Docs();
    const { app } = await boot({
      providers: [
        { provide: 'made', useValue: made },
        { provide: 'factory', useFactory: async () => new Users() },
        { provide: 'again', useExisting: 'factory' },
        { provide: 'number', useValue: 7 },
        { provide: 'nothing', useFactory: () => null },
        { provide: 'class', useValue: Docs },
        { provide: 'transient', scope: Scope.TRANSIENT, useFactory: () => new Orders() },
        { provide: 'holder', inject: ['transient'], useFactory: (orders: Orders) => ({ orders }) },
      ],
    });
    expect([await made.render('a'), await made.render('a')]).toEqual(['a #1', 'a #1']);
    const users = app.get<Users>('again');
    expect([await users.load('1'), await users.load('1')]).toEqual(['Users 1 #1', 'Users 1 #1']);
    const { orders } = app.get<{ orders: Orders }>('holder');
    expect([await orders.load('1'), await orders.load('1')]).toEqual(Array(2).fill('order Orders 1 #1'));
    expect(warn).not.toHaveBeenCalled();
  });

  it('run uncached, with one warning, in an app without the module', async () => {
    @Injectable()
    class Lonely extends Docs {}
    const app = await Test.createTestingModule({ providers: [Lonely] }).compile();
    open.push(app);
    const lonely = app.get(Lonely);
    expect([await lonely.render('a'), await lonely.render('a')]).toEqual(['a #1', 'a #2']);
    expect(warn).toHaveBeenCalledTimes(1);
  });

  it('share nothing with those of another app in the same process', async () => {
    const first = await boot({ providers: [Docs] });
    const second = await boot({ providers: [Docs] });
    expect(await first.app.get(Docs).render('a')).toBe('a #1');
    expect(await second.app.get(Docs).render('b')).toBe('b #1');
    expect(await second.app.get(Docs).render('a')).toBe('a #2');
    expect(first.manager.entries.size).toBe(1);
    expect(second.manager.entries.size).toBe(2);
  });

  describe('as controllers', () => {
    @Injectable()
    class RoleGuard implements CanActivate {
      constructor(@Inject(Reflector) private readonly reflector: Reflector) {}

      canActivate(context: ExecutionContext): boolean {
        return this.reflector.get('role', context.getHandler()) === 'reader';
      }
    }

    @Controller('pages')
    class Pages {
      calls = 0;

      @Get('above/:id')
      @UseGuards(RoleGuard)
      @SetMetadata('role', 'reader')
      @Cached()
      async above(@Param('id') id: string): Promise<object> {
        return { id, call: ++this.calls };
      }

      @Cached()
      @Get('below/:id')
      @UseGuards(RoleGuard)
      @SetMetadata('role', 'reader')
      async below(@Param('id') id: string): Promise<object> {
        return { id, call: ++this.calls };
      }

      @Cached()
      @Get('closed')
      @UseGuards(RoleGuard)
      async closed(): Promise<object> {
        return {};
      }
    }

    let app: INestApplication;

    afterEach(async () => app.close());

    it.each(['above', 'below'])('are cached with the other decorators %s @Cached', async (where) => {
      const manager = new FakeLaneManager();
      const module = await Test.createTestingModule({
        imports: [fakeCacheModule(manager)],
        controllers: [Pages],
      }).compile();
      app = module.createNestApplication();
      await app.listen(0, '127.0.0.1');
      const url = await app.getUrl();
      const get = async (path: string) => (await fetch(`${url}/pages/${path}`)).json();
      expect(await get(`${where}/a`)).toEqual({ id: 'a', call: 1 });
      expect(await get(`${where}/a`)).toEqual({ id: 'a', call: 1 });
      expect(await get(`${where}/b`)).toEqual({ id: 'b', call: 2 });
      expect(await get('closed')).toMatchObject({ statusCode: 403 });
    });
  });

  it('may live in modules that do not import the cache, which is global', async () => {
    @Module({ providers: [Docs], exports: [Docs] })
    class DocsModule {}
    const { app, manager } = await boot({ imports: [DocsModule] });
    await app.get(Docs).render('a');
    expect(manager.entries.size).toBe(1);
  });
});
