import { getEventListeners } from 'node:events';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Caches } from '../support/caches.js';

// Node warns of more than ten listeners on a signal.
describe('a signal that many callers share', () => {
  const caches = new Caches();
  afterEach(() => caches.close());
  const keys = Array.from({ length: 20 }, (_, n) => `key:${n}`);

  it('has one listener, and rejects all of them when it aborts', async () => {
    const cache = await caches.open();
    const controller = new AbortController();
    const { signal } = controller;
    let end = (): void => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const compute = (): Promise<string> => ended.then(() => 'late');
    const own = keys.map((key) => cache.getOrSet(key, compute, { signal }));
    const calls = Promise.allSettled([...own, cache.getOrSetMany(keys, () => new Map(), { signal })]);
    const before = getEventListeners(signal, 'abort').length;
    const reason = new Error('the client has left');
    controller.abort(reason);
    expect(await calls).toEqual(Array.from({ length: 21 }, () => ({ status: 'rejected', reason })));
    expect(before).toBe(1);
    end();
  });

  it('has none after they were answered', async () => {
    const cache = await caches.open();
    const { signal } = new AbortController();
    await Promise.all(keys.map((key) => cache.getOrSet(key, async () => key, { signal })));
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});
