import { afterEach, describe, expect, it } from '@jest/globals';
import { setManager } from '../../lib/decorators/method-wrapper.js';
import { CachePut } from '../../lib/index.js';
import { Caches } from '../support/caches.js';
import { Deferred } from '../support/deferred.js';

interface User {
  readonly id: number;
  readonly team?: string;
}

class Users {
  @CachePut({ key: 'user:{0.id}', tags: ['team:{0.team}'] })
  async save(user: User): Promise<User> {
    return user;
  }

  @CachePut({ key: 'user:{0.id}', tags: (user: User) => [`${user.team?.toUpperCase()}`.repeat(100)] })
  async saveWithLongTag(user: User): Promise<User> {
    return user;
  }

  @CachePut({ key: 'user:{0.id}', condition: () => false })
  async saveUnwanted(user: User): Promise<User> {
    return user;
  }

  @CachePut({ key: 'user:{0.id}', tags: ['team:{0.team}'] })
  async fail(_user: User): Promise<User> {
    throw new Error('not saved');
  }
}

describe('a result of @CachePut that is not stored', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  const users = async () => {
    const cache = await caches.open();
    const service = new Users();
    setManager(service, cache);
    await service.save({ id: 1, team: 'red' });
    return { cache, service };
  };

  it.each(['save', 'saveWithLongTag'] as const)('leaves no older one behind: %s', async (method) => {
    const { cache, service } = await users();
    expect(await cache.get('user:1')).toEqual({ id: 1, team: 'red' });
    expect(await service[method]({ id: 1 })).toEqual({ id: 1 });
    expect(await cache.get('user:1')).toBeUndefined();
    expect(cache.getMetrics().bypassed['unkeyable-arguments']).toBe(1);
  });

  it.each(['save', 'saveUnwanted'] as const)(
    'leaves nothing that was computed from the older state while the method ran: %s',
    async (method) => {
      const { cache, service } = await users();
      await cache.invalidate('user:1');
      const [older, saved] = [new Deferred<string>(), service[method]({ id: 1 })];
      const computed = cache.getOrSet('user:1', () => older.promise);
      older.resolve('of the older state');
      await Promise.all([computed, saved]);
      expect(await cache.get('user:1')).toBeUndefined();
    },
  );

  it('leaves the entry as it is if the method fails', async () => {
    const { cache, service } = await users();
    await expect(service.fail({ id: 1 })).rejects.toThrow('not saved');
    expect(await cache.get('user:1')).toEqual({ id: 1, team: 'red' });
  });
});
