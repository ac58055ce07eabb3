import { describe, expect, it } from '@jest/globals';
import { CachePut, type CachePutOptions } from '../../../lib/decorators/cache-put.decorator.js';
import { setManager } from '../../../lib/decorators/method-wrapper.js';
import { FakeLaneManager } from '../../support/fake-lane-manager.js';

interface User {
  readonly id?: number;
  readonly name: string;
}

function putUsers(options: CachePutOptions) {
  class Users {
    @CachePut(options)
    async save(user: User): Promise<User> {
      if (user.name === '') throw new Error('no name');
      return user;
    }
  }
  const manager = new FakeLaneManager();
  const users = new Users();
  setManager(users, manager.asManager);
  return { users, manager };
}

describe('@CachePut', () => {
  it('runs the method every time and stores its result under the key', async () => {
    const { users, manager } = putUsers({ key: 'user:{0.id}', ttl: '1h', tags: ['user:{0.id}'], version: 3 });
    await users.save({ id: 1, name: 'Ada' });
    await users.save({ id: 1, name: 'Ada L.' });
    expect(manager.entries.get('user:1')).toEqual({
      value: { id: 1, name: 'Ada L.' },
      options: { version: 3, ttl: '1h', tags: ['user:1'] },
      tags: ['user:1'],
      ttl: '1h',
    });
    expect(manager.calls).toEqual(['putComputed user:1', 'putComputed user:1']);
  });

  it('applies unless and resultTags to the result', async () => {
    const { users, manager } = putUsers({
      key: 'user:{0.id}',
      unless: (user: User) => user.name === 'guest',
      resultTags: (user: User) => [`name:${user.name}`],
    });
    await users.save({ id: 1, name: 'guest' });
    await users.save({ id: 2, name: 'Ada' });
    expect([...manager.entries]).toEqual([['user:2', expect.objectContaining({ tags: ['name:Ada'] })]]);
  });

  it('stores nothing without a key, or when `condition` is false', async () => {
    const { users, manager } = putUsers({ key: 'user:{0.id}', condition: (user: User) => user.name !== 'guest' });
    expect(await users.save({ name: 'new' })).toEqual({ name: 'new' });
    expect(await users.save({ id: 1, name: 'guest' })).toEqual({ id: 1, name: 'guest' });
    expect(manager.entries.size).toBe(0);
    expect(manager.calls).toEqual([
      'bypass unkeyable-arguments @CachePut on Users.save',
      'bypass condition @CachePut on Users.save',
      'putComputed user:1',
    ]);
  });

  it('lets the error of the method reach the caller', async () => {
    const { users, manager } = putUsers({ key: 'user:{0.id}' });
    await expect(users.save({ id: 1, name: '' })).rejects.toThrow('no name');
    expect(manager.entries.size).toBe(0);
  });

  it('requires a key', () => {
    expect(() => putUsers(JSON.parse('{}'))).toThrow(expect.objectContaining({ code: 'DECORATOR_INVALID' }));
  });
});
