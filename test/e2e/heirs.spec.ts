import { afterEach, describe, expect, it } from '@jest/globals';
import { Caches } from '../support/caches.js';

describe('a process beside the owner of a directory', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  const until = (cache: Awaited<ReturnType<Caches['open']>>, state: string): Promise<void> =>
    new Promise((resolve) => {
      cache.events.on('owner', (event) => event.state === state && resolve());
    });

  it('keeps what it computes while nobody owns L3 for the process that owns it next', async () => {
    const directory = await caches.directory();
    const [owner, heir] = [await caches.open({ directory }), await caches.open({ directory })];
    const taken = until(heir, 'taken-over');
    const closing = owner.close();
    const keys: string[] = [];
    let isTaken = false;
    void taken.then(() => (isTaken = true));
    while (!isTaken) {
      const key = `key-${keys.length}`;
      keys.push(key);
      await heir.getOrSet(key, () => key);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await closing;
    await heir.flush();
    // As the owner the third reads L3 itself, and waits for no other process.
    await heir.close();
    const third = await caches.open({ directory });
    const found = await third.getMany(keys);
    expect([...found.keys()]).toEqual(keys);
    expect(third.getMetrics().l3.hits).toBe(keys.length);
  });

  it('hands over what it offered last before it closes, and what was offered to an owner that closes is kept', async () => {
    const directory = await caches.directory();
    const [owner, other] = [await caches.open({ directory }), await caches.open({ directory })];
    await other.getOrSet('computed', () => 1);
    await other.set('set', 2);
    await other.close();
    expect([...(await owner.getMany(['computed', 'set']))]).toEqual([
      ['computed', 1],
      ['set', 2],
    ]);
    const next = await caches.open({ directory });
    await next.getOrSet('late', () => 3);
    const taken = until(next, 'taken-over');
    await owner.close();
    await taken;
    await next.close();
    const third = await caches.open({ directory });
    expect(await third.get('late')).toBe(3);
  });
});
