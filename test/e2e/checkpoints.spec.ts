import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { CacheManager } from '../../lib/app/cache-app.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { Workshop } from '../support/child-process.js';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lane-cache-checkpoints-'));
});

afterEach(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));

describe('checkpoints of an app', () => {
  it('stay whatever is cleared, invalidated or evicted, and when the app is started again', async () => {
    const cache = await CacheManager.fromSettings({ directory, logger: false });
    await cache.snapshots.cacheCheckpoint('flow', { step: 5 }, { workflow: 'flow' });
    for (let n = 0; n < 600; n += 1) await cache.getOrSet(`flow ${n}`, () => n, { tags: ['flow'] });
    await cache.invalidate('flow');
    await cache.invalidateByTag('flow');
    await cache.invalidateByPattern('*');
    await cache.clearAll({ lanes: 'all' });
    expect(await cache.snapshots.restoreCheckpoint('flow')).toEqual({ step: 5 });
    await cache.close();
    const again = await CacheManager.fromSettings({ directory, logger: false });
    expect(await again.snapshots.restoreCheckpoint('flow')).toEqual({ step: 5 });
    await again.close();
  });

  it('are set aside when the directory cannot be opened, and never deleted', async () => {
    const first = await CacheManager.fromSettings({ directory, logger: false });
    await first.snapshots.cacheCheckpoint('flow', { step: 5 });
    await first.close();
    await writeFile(join(directory, 'checkpoints', 'data.mdb'), 'This is not a database.\n'.repeat(5_000));
    const clock = new FakeClock(Date.now());
    const again = await CacheManager.fromSettings({ directory, logger: false, clock });
    expect(await again.snapshots.restoreCheckpoint('flow')).toBeUndefined();
    expect((await again.snapshots.cacheCheckpoint('flow', { step: 1 })).version).toBe(1);
    await clock.advance('400d');
    await again.close();
    const aside = (await readdir(directory)).filter((name) => name.startsWith('checkpoints.bad-'));
    expect(aside).toHaveLength(1);
    expect(await readdir(join(directory, aside[0] ?? ''))).toContain('data.mdb');
  });
});

describe('a script with checkpoints', () => {
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());

  it('ends by itself although the cleanup is scheduled, and keeps what it saved', async () => {
    const script = `
      import { CacheManager } from './lib/app/cache-app.js';
      const cache = await CacheManager.fromSettings({ directory: process.argv[2], logger: false });
      console.log((await cache.snapshots.restoreCheckpoint('flow')) ?? 'nothing');
      await cache.snapshots.cacheCheckpoint('flow', 'saved');
    `;
    for (const found of ['nothing', 'saved']) {
      const { status, lines } = await (await workshop.run(script, [directory])).end();
      expect({ status, lines }).toEqual({ status: 0, lines: [found] });
    }
  });
});
