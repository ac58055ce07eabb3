import { describe, expect, it } from '@jest/globals';
import type { AsyncMethod } from '../../../lib/decorators/method-registry.js';
import { CacheInvalidate, type CacheInvalidateOptions } from '../../../lib/decorators/cache-invalidate.decorator.js';
import { setManager } from '../../../lib/decorators/method-wrapper.js';
import { FakeLaneManager } from '../../support/fake-lane-manager.js';

/** A decorated method that logs when it runs, in order with the calls of its lane. */
function invalidating(...options: readonly CacheInvalidateOptions[]) {
  const manager = new FakeLaneManager();
  const stacked = <M extends AsyncMethod>(target: object, name: string, descriptor: TypedPropertyDescriptor<M>) =>
    options.reduce((at, each) => CacheInvalidate(each)(target, name, at), descriptor);
  class Users {
    @stacked
    async save(user: { readonly id?: string } | undefined): Promise<string> {
      manager.calls.push('run');
      if (user?.id === 'bad') throw new Error('not saved');
      return 'saved';
    }
  }
  const users = new Users();
  setManager(users, manager.asManager);
  return { users, manager };
}

describe('@CacheInvalidate', () => {
  it('invalidates keys, tags and a pattern made from the arguments, after the method', async () => {
    const { users, manager } = invalidating({
      key: ['user:{0.id}', (user: { id: string }) => `profile/${user.id}`],
      tags: ['user:{0.id}', 'users'],
      pattern: 'list:{0.id}:*',
    });
    expect(await users.save({ id: 'a' })).toBe('saved');
    expect(manager.calls).toEqual([
      'run',
      'invalidate user:a',
      'invalidate profile/a',
      'invalidateByTag user:a,users',
      'invalidateByPattern list:a:*',
    ]);
  });

  it.each([
    ['before', ['clearAll', 'run']],
    ['after', ['run', 'clearAll']],
    ['both', ['clearAll', 'run', 'clearAll']],
  ] as const)('invalidates %s the method when configured to', async (when, calls) => {
    const { users, manager } = invalidating({ all: true, when });
    await users.save({});
    expect(manager.calls).toEqual(calls);
  });

  it('leaves everything as it is after a method that failed', async () => {
    const { users, manager } = invalidating({ all: true });
    await expect(users.save({ id: 'bad' })).rejects.toThrow('not saved');
    expect(manager.calls).toEqual(['run']);
  });

  it('may be given several times, for several lanes', async () => {
    const { users, manager } = invalidating({ lane: 'docs', all: true }, { lane: 'heavy', key: 'k', when: 'before' });
    await users.save({});
    expect(manager.calls).toEqual(['run']);
    expect(manager.forLane('docs').calls).toEqual(['clearAll']);
    expect(manager.forLane('heavy').calls).toEqual(['invalidate k']);
  });

  it('does nothing when `condition` is false', async () => {
    const { users, manager } = invalidating({ all: true, condition: (user: object | undefined) => user !== undefined });
    await users.save(undefined);
    expect(manager.calls).toEqual(['run']);
  });

  it('skips what a missing value cannot name, and warns once', async () => {
    const { users, manager } = invalidating({ key: ['user:{0.id}', 'users'], tags: ['user:{0.id}'] });
    await users.save({});
    await users.save({});
    expect(manager.calls).toEqual(['run', 'invalidate users', 'run', 'invalidate users']);
    expect(manager.warnings).toEqual([expect.stringContaining('@CacheInvalidate on Users.save')]);
  });

  it('rejects when the invalidation failed, although the method succeeded', async () => {
    const { users, manager } = invalidating({ key: 'k' });
    const failed = new Error('not durable');
    manager.invalidate = () => Promise.reject(failed);
    await expect(users.save({})).rejects.toBe(failed);
  });

  it.each([
    [{}, 'names nothing to invalidate'],
    [{ all: false }, "'all' must be true"],
    [{ key: 'k', when: 'later' }, "'when' must be 'before', 'after' or 'both'"],
    [{ pattern: 'x:{}' }, "the template 'x:{}'"],
    [{ keys: 'k' }, "Did you mean 'key'?"],
  ])('refuses %p when the class is declared', (options: object, text) => {
    const declare = () => invalidating(options);
    expect(declare).toThrow(expect.objectContaining({ code: 'DECORATOR_INVALID' }));
    expect(declare).toThrow(text);
  });
});
