import { afterEach, describe, expect, it } from '@jest/globals';
import { Computation } from '../../lib/cache/wait-graph.js';
import { Caches } from '../support/caches.js';

describe('an app that was closed', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  // up to Node.js 22 the storage it left behind slowed every promise of the process, with every app a little more
  it('leaves no async context behind in the process', async () => {
    const cache = await caches.open();
    const { scopes } = cache['context'].shared;
    let end = (): void => undefined;
    const within: unknown[] = [];
    const computed = cache.getOrSet('key', async () => {
      within.push(scopes.current?.lane);
      await new Promise<void>((resolve) => (end = resolve));
      within.push(scopes.current?.lane);
      return 'value';
    });
    await cache.close();
    end();
    expect(await computed).toBe('value');
    expect(await cache.getOrSet('key', () => within.push(scopes.current?.lane))).toBe(3);
    expect(await scopes.within(new Computation('late', 'key'), () => scopes.current)).toBe(undefined);
    expect(within).toEqual(['standard', undefined, undefined]);
  });

  it('leaves none of its steps behind either', async () => {
    const cache = await caches.open();
    const { snapshots } = cache;
    const within = (id: string): Promise<string> =>
      snapshots.runStep(id, () => snapshots['steps']?.scopes.current?.id ?? 'none', { onUnavailable: 'run' });
    expect(await within('open')).toBe('open');
    await cache.close();
    expect(await within('closed')).toBe('none');
  });

  it('begins none with a first step after its close', async () => {
    const cache = await caches.open();
    const { snapshots } = cache;
    await cache.close();
    const current = (): unknown => snapshots['steps']?.scopes.current;
    expect(await snapshots.runStep('late', () => current() ?? 'none', { onUnavailable: 'run' })).toBe('none');
  });
});
