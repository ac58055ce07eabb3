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

  it('has what the owner kept, and nothing that it had for itself', async () => {
    const { owner, heir, takeOver } = await setUp();
    await owner.set('both', 'of the owner');
    await owner.flush();
    await heir.getOrSet('both', () => 'its own');
    await heir.getOrSet('alone', () => 'its own');
    await heir.flush();
    await takeOver();
    expect([await heir.get('both'), await heir.get('alone')]).toEqual(['of the owner', undefined]);
  });

  it('serves nothing that it invalidated before, even when the file of pending invalidations was removed', async () => {
    const { directory, owner, heir, takeOver } = await setUp();
    await owner.set('k', 'old');
    await owner.flush();
    await heir.invalidate('k');
    const notes = (await readdir(directory)).filter((name) => name.startsWith('missed-'));
    expect(notes).toHaveLength(1);
    for (const note of notes) await rm(join(directory, note));
    await takeOver();
    expect(await heir.get('k')).toBeUndefined();
  });
});
