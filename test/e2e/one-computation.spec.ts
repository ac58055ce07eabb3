import { afterEach, describe, expect, it } from '@jest/globals';
import { Caches } from '../support/caches.js';

const CALLERS = 1_000;

describe('1,000 concurrent callers of one key', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  const everyone = <T>(call: () => Promise<T>): Promise<T>[] => Array.from({ length: CALLERS }, call);

  it.each([
    ['in memory', false],
    ['on disk as well', true],
  ])('share one computation, %s', async (_, onDisk) => {
    const cache = await caches.open(onDisk ? { directory: await caches.directory() } : {});
    let computed = 0;
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    const compute = async (): Promise<{ call: number }> => {
      const call = ++computed;
      await gate;
      return { call };
    };
    const waiting = everyone(() => cache.getOrSet('key', compute));
    open();
    const values = await Promise.all(waiting);
    expect(computed).toBe(1);
    expect(new Set(values).size).toBe(1);
    expect(values[0]).toEqual({ call: 1 });
    expect(cache.getMetrics()).toMatchObject({ requests: CALLERS, misses: CALLERS, joined: CALLERS - 1, computed: 1 });
  });

  it('get the very same error of it, and nothing is kept', async () => {
    const cache = await caches.open({ directory: await caches.directory() });
    let computed = 0;
    const errors: Error[] = [];
    const failing = async (): Promise<never> => {
      const error = new Error(`failure ${++computed}`);
      errors.push(error);
      await Promise.resolve();
      throw error;
    };
    const outcomes = await Promise.allSettled(everyone(() => cache.getOrSet('key', failing)));
    expect(computed).toBe(1);
    expect(new Set(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason))).toEqual(
      new Set([errors[0]]),
    );
    expect(outcomes.every((outcome) => outcome.status === 'rejected' && outcome.reason === errors[0])).toBe(true);
    await expect(cache.getOrSet('key', failing)).rejects.toBe(errors[1]);
    expect(await cache.getOrSet('key', () => 'sound')).toBe('sound');
    expect(cache.getMetrics()).toMatchObject({ failed: 2, computed: 1 });
  });

  it.each([undefined, null, 'text', 0])('get %p when that is what was thrown', async (thrown) => {
    const cache = await caches.open();
    const outcomes = await Promise.allSettled(everyone(() => cache.getOrSet('key', () => Promise.reject(thrown))));
    expect(outcomes.filter((outcome) => outcome.status === 'rejected' && outcome.reason === thrown)).toHaveLength(
      CALLERS,
    );
  });

  it('share one look into the disk when it is there', async () => {
    const cache = await caches.open({
      directory: await caches.directory(),
      lanes: { standard: { l1: { maxEntries: 1 } } },
    });
    await cache.set('key', { some: 'value' });
    await cache.set('other', 1);
    await cache.flush();
    const values = await Promise.all(everyone(() => cache.getOrSet('key', () => ({ some: 'other' }))));
    expect(new Set(values)).toEqual(new Set([{ some: 'value' }]));
    expect(cache.getMetrics()).toMatchObject({ requests: CALLERS, misses: 0, computed: 0 });
  });

  it('each have a signal of their own', async () => {
    const cache = await caches.open();
    const controller = new AbortController();
    const reason = new Error('gone home');
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    const compute = (): Promise<string> => gate.then(() => 'value');
    const patient = cache.getOrSet('key', compute);
    const impatient = cache.getOrSet('key', compute, { signal: controller.signal });
    controller.abort(reason);
    await expect(impatient).rejects.toBe(reason);
    open();
    expect(await patient).toBe('value');
    await expect(cache.getOrSet('new', compute, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it('of as many keys at once compute each of them once', async () => {
    const cache = await caches.open({ directory: await caches.directory() });
    const computed = new Map<string, number>();
    const calls = Array.from({ length: 20 }, (_, round) =>
      Array.from({ length: 100 }, (_, key) =>
        cache.getOrSet(`key ${key}`, async (ctx) => {
          computed.set(ctx.key, (computed.get(ctx.key) ?? 0) + 1);
          await Promise.resolve(round);
          return ctx.key;
        }),
      ),
    ).flat();
    const values = await Promise.all(calls);
    expect(new Set(computed.values())).toEqual(new Set([1]));
    expect(values.every((value, index) => value === `key ${index % 100}`)).toBe(true);
  });
});
