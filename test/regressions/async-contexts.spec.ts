import { afterEach, describe, expect, it } from '@jest/globals';
import { Caches } from '../support/caches.js';
import { Deferred } from '../support/deferred.js';
import { collected } from '../support/garbage.js';

describe('the async context of steps', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  const opened = async () => {
    const { snapshots } = await caches.open({ directory: await caches.directory() });
    const scopes = () => snapshots['steps']?.scopes;
    return { snapshots, scopes, isSlowing: () => isEnabled(scopes()?.['storage'] ?? {}) };
  };

  it('is dropped once no work of a step is left', async () => {
    const { snapshots, isSlowing } = await opened();
    expect(await snapshots.runStep('step', () => Promise.resolve('done'))).toBe('done');
    await collected(() => !isSlowing());
    expect(isSlowing()).toBe(false);
  });

  it('stays with what a step has not awaited', async () => {
    const { snapshots, scopes } = await opened();
    const gate = new Deferred();
    const late: Promise<string | undefined>[] = [];
    const work = async (): Promise<string | undefined> => {
      await gate.promise;
      return scopes()?.current?.id;
    };
    await snapshots.runStep('step', () => void late.push(work()));
    await collected(() => false);
    gate.resolve(undefined);
    expect(await Promise.all(late)).toEqual(['step']);
  });
});

describe('the async context of computations', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  it('is dropped when none runs', async () => {
    const cache = await caches.open();
    const { scopes } = cache['context'].shared;
    expect(await cache.getOrSet('key', () => Promise.resolve('value'))).toBe('value');
    expect(isEnabled(scopes['storage'])).toBe(false);
  });

  it('stays with one that runs when another has ended', async () => {
    const cache = await caches.open();
    const gate = new Deferred();
    const circle = cache.getOrSet('outer', async () => {
      await gate.promise;
      return cache.getOrSet('outer', () => 'inner');
    });
    await cache.getOrSet('other', () => 'value');
    gate.resolve(undefined);
    await expect(circle).rejects.toMatchObject({ code: 'REENTRANT' });
  });

  it('holds what a thenable begins only when it is awaited', async () => {
    const cache = await caches.open();
    const lazy: PromiseLike<unknown> = {
      // oxlint-disable-next-line unicorn/no-thenable -- as a query builder, which begins when it is awaited
      then: (resolve, reject) => cache.getOrSet<unknown>('outer', () => 'inner').then(resolve, reject),
    };
    await expect(cache.getOrSet('outer', () => lazy)).rejects.toMatchObject({ code: 'REENTRANT' });
  });
});

/** Up to Node.js 22 an enabled storage slows every promise of the process. Newer ones have no such state. */
const isEnabled = (storage: object): boolean => Reflect.get(storage, 'enabled') === true;
