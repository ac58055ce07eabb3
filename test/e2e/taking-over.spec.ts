import { afterEach, describe, expect, it } from '@jest/globals';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Caches } from '../support/caches.js';

describe('a process that takes a directory over', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  /** An owner, another one beside it, and what makes that one the owner. */
  const setUp = async () => {
    const directory = await caches.directory();
    const [owner, heir] = [await caches.open({ directory }), await caches.open({ directory })];
    const takeOver = async (): Promise<void> => {
      const taken = new Promise<void>((resolve) => {
        heir.events.on('owner', ({ state }) => state === 'taken-over' && resolve());
      });
      await Promise.all([owner.close(), taken]);
    };
    return { directory, owner, heir, takeOver };
  };

  it('has what the owner kept, and what it had for itself', async () => {
    const { owner, heir, takeOver } = await setUp();
    await owner.set('kept', 'of the owner');
    await owner.flush();
    await heir.getOrSet('alone', () => 'its own');
    await heir.flush();
    await takeOver();
    expect([await heir.get('kept'), await heir.get('alone')]).toEqual(['of the owner', 'its own']);
  });

  it('serves nothing that it invalidated before, and all else', async () => {
    const { owner, heir, takeOver } = await setUp();
    await owner.setMany(['k', 'by-tag', 'by-pattern', 'stays'].map((key) => [key, 'old']));
    await owner.set('by-tag', 'old', { tags: ['t'] });
    await owner.flush();
    await heir.invalidate('k');
    await heir.invalidateByTag('t');
    await heir.invalidateByPattern('by-p*');
    await takeOver();
    const found = await heir.getMany(['k', 'by-tag', 'by-pattern', 'stays']);
    expect([...found]).toEqual([['stays', 'old']]);
  });

  it('starts with an empty L3 where what L3 has missed is not in the log any more', async () => {
    const { directory, owner, heir, takeOver } = await setUp();
    await owner.set('k', 'old');
    await owner.flush();
    for (const name of await readdir(join(directory, 'log'))) await rm(join(directory, 'log', name));
    await heir.invalidate('another');
    await takeOver();
    expect(await heir.get('k')).toBeUndefined();
  });
});
