import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Inject, Injectable, type Type } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CacheManager } from '../../lib/app/cache-app.js';
import { CacheInvalidate } from '../../lib/decorators/cache-invalidate.decorator.js';
import { CachePut } from '../../lib/decorators/cache-put.decorator.js';
import { CacheType } from '../../lib/decorators/cache-type.decorator.js';
import { Cached } from '../../lib/decorators/cached.decorator.js';
import { Checkpointed } from '../../lib/decorators/checkpointed.decorator.js';
import { LaneCacheModule, type LaneCacheModuleOptions } from '../../lib/module/lane-cache.module.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';

interface User {
  readonly id: string;
  readonly name: string;
  readonly seen: Date;
}

@Injectable()
class Users {
  loads = 0;
  readonly table = new Map<string, string>([
    ['1', 'Ada'],
    ['2', 'Grace'],
  ]);

  @Cached({ tags: ['user:{0}'] })
  async find(id: string): Promise<User> {
    this.loads++;
    const name = this.table.get(id);
    if (name === undefined) throw new Error(`no user ${id}`);
    return { id, name, seen: new Date(0) };
  }

  @Cached({ key: 'name:{0}', unless: (name: string) => name === '', condition: (id: string) => id !== '0', ttl: '1m' })
  async nameOf(id: string): Promise<string> {
    this.loads++;
    return this.table.get(id) ?? '';
  }

  @Cached({
    lane: 'docs',
    key: 'page:{0}',
    resultTags: (page: { users: string[] }) => page.users.map((id) => `user:${id}`),
  })
  async page(_number: number): Promise<{ users: string[] }> {
    this.loads++;
    return { users: [...this.table.keys()] };
  }

  @CacheInvalidate({ tags: ['user:{0}'] })
  @CacheInvalidate({ key: 'name:{0}' })
  async rename(id: string, name: string): Promise<void> {
    this.table.set(id, name);
  }

  @CachePut({ key: 'name:{0}', condition: (_id, name) => name !== 'draft' })
  async put(_id: string, name: string): Promise<string> {
    return name;
  }
}

describe('decorators on a real cache', () => {
  const open: TestingModule[] = [];

  async function boot<T>(type: Type<T>, settings: LaneCacheModuleOptions = {}) {
    const imports = [LaneCacheModule.forRoot({ directory: false, checkpoints: false, ...settings })];
    const app = await Test.createTestingModule({ imports, providers: [type] }).compile();
    open.push(app);
    await app.init();
    return { it: app.get(type), cache: app.get(CacheManager), app };
  }

  afterEach(async () => {
    await Promise.all(open.splice(0).map((app) => app.close()));
  });

  it('compute once for concurrent callers, and reject all with the same error object', async () => {
    const { it: users, cache } = await boot(Users);
    const all = await Promise.all(Array.from({ length: 100 }, () => users.find('1')));
    expect(users.loads).toBe(1);
    expect(new Set(all)).toEqual(new Set([{ id: '1', name: 'Ada', seen: new Date(0) }]));
    const failures = await Promise.allSettled([users.find('9'), users.find('9')]);
    const [first, second] = failures.map((failure) => (failure.status === 'rejected' ? failure.reason : undefined));
    expect(first).toEqual(new Error('no user 9'));
    expect(second).toBe(first);
    expect(cache.getMetrics()).toMatchObject({ requests: 102, computed: 1, failed: 1 });
  });

  it('store under the key that keyFor returns', async () => {
    const { it: users, cache } = await boot(Users);
    const user = await users.find('1');
    expect(await cache.get(cache.keyFor(Users, 'find', ['1']))).toBe(user);
    expect(await cache.invalidate(cache.keyFor(Users, 'find', ['1']))).toBe(true);
    await users.find('1');
    expect(users.loads).toBe(2);
  });

  it('invalidate by tag in every lane, and by key, before the method resolves', async () => {
    const { it: users } = await boot(Users);
    await Promise.all([users.find('1'), users.find('2'), users.nameOf('1'), users.page(1)]);
    await users.rename('1', 'Ada L.');
    users.loads = 0;
    expect(await users.find('1')).toMatchObject({ name: 'Ada L.' });
    expect(await users.nameOf('1')).toBe('Ada L.');
    await users.page(1);
    await users.find('2');
    expect(users.loads).toBe(3);
  });

  it('replace entries with results', async () => {
    const { it: users, cache } = await boot(Users);
    await users.nameOf('1');
    expect(await users.put('1', 'Countess')).toBe('Countess');
    expect(await cache.get('name:1')).toBe('Countess');
    expect(await users.put('1', 'draft')).toBe('draft');
    expect(await cache.get('name:1')).toBeUndefined();
    expect(await users.put('1', 'Countess')).toBe('Countess');
    expect(await users.nameOf('1')).toBe('Countess');
    expect(users.loads).toBe(1);
  });

  it('count the calls that bypass the cache, by reason', async () => {
    const { it: users, cache } = await boot(Users);
    await users.nameOf('0');
    await users.nameOf('7');
    await users.nameOf('7');
    await users.nameOf(JSON.parse('{}'));
    expect(cache.getMetrics()).toMatchObject({
      requests: 4,
      misses: 2,
      bypassed: { condition: 1, 'unkeyable-arguments': 1 },
      refused: { unless: 2 },
    });
  });

  it('keep a value for its ttl, counted from the end of the computation', async () => {
    const clock = new FakeClock();
    const { it: users } = await boot(Users, { clock });
    await users.nameOf('1');
    await clock.advance('59s');
    await users.nameOf('1');
    expect(users.loads).toBe(1);
    await clock.advance('2s');
    await users.nameOf('1');
    expect(users.loads).toBe(2);
  });

  it('do not wait for themselves when a method runs the one it overrides', async () => {
    @Injectable()
    class Loud extends Users {
      @Cached()
      override async find(id: string): Promise<User> {
        const user = await super.find(id);
        return { ...user, name: user.name.toUpperCase() };
      }
    }
    const { it: loud } = await boot(Loud);
    expect(await loud.find('1')).toMatchObject({ name: 'ADA' });
    expect(await loud.find('1')).toMatchObject({ name: 'ADA' });
    expect(loud.loads).toBe(1);
  });

  it('return instances of listed classes as instances', async () => {
    @CacheType({ name: 'money', version: 2 })
    class Money {
      constructor(
        readonly cents: number,
        readonly currency: string,
      ) {}

      toString(): string {
        return `${this.cents / 100} ${this.currency}`;
      }
    }
    @Injectable()
    class Prices {
      @Cached()
      async of(_item: string): Promise<Money> {
        return new Money(1250, 'EUR');
      }
    }
    const { it: prices } = await boot(Prices, { types: [Money] });
    await prices.of('book');
    const price = await prices.of('book');
    expect(price).toBeInstanceOf(Money);
    expect(String(price)).toBe('12.5 EUR');
  });

  describe('with checkpoints', () => {
    let directory: string;

    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), 'lane-cache-decorated-'));
    });

    afterEach(async () => {
      await Promise.all(open.splice(0).map((app) => app.close()));
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    });

    @Injectable()
    class Import {
      runs = 0;

      constructor(@Inject(CacheManager) readonly cache: CacheManager) {}

      @Checkpointed({ id: (batch: number) => `import:${batch}`, workflow: 'import', step: (batch: number) => batch })
      async load(batch: number): Promise<{ rows: Map<string, number> }> {
        this.runs++;
        return { rows: new Map([['count', batch]]) };
      }
    }

    it('resume a workflow where the previous app stopped', async () => {
      const settings = { directory, checkpoints: {}, storage: { minFreeBytes: 0 } };
      const first = await boot(Import, settings);
      const [loaded] = await Promise.all([first.it.load(1), first.it.load(1)]);
      await first.it.load(2);
      expect(first.it.runs).toBe(2);
      await first.app.close();

      const second = await boot(Import, settings);
      expect(await second.it.load(1)).toEqual(loaded);
      expect(second.it.runs).toBe(0);
      expect(await second.it.cache.snapshots.latest('import')).toMatchObject({ id: 'import:2', step: 2 });
    });

    it('refuse to run a step whose result could not be saved', async () => {
      const { it: work } = await boot(Import);
      await expect(work.load(1)).rejects.toMatchObject({ code: 'CHECKPOINTS_UNAVAILABLE' });
      expect(work.runs).toBe(0);
    });
  });
});
