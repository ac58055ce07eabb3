import { describe, expect, it, jest } from '@jest/globals';
import { nextTurn } from '../../../lib/clock/clock.js';
import type { CacheManager } from '../../../lib/index.js';
import { StorageFault } from '../../../lib/storage/environment.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { DiskTier } from '../../../lib/tiers/stored-tier.js';
import { logBesideTheOwner } from '../../support/host-logs.js';
import { Jobs } from '../../support/jobs.js';
import { LaneApp } from '../../support/lane-app.js';
import { MemorySource } from '../../support/memory-environment.js';
import { ModelLogDisk } from '../../support/model-log-disk.js';
import { tierSetting } from '../../support/stored-tiers.js';

function appWithoutNotes(): LaneApp {
  return new LaneApp({
    persistence: {
      directory: '/data/cache',
      isEmpty: () => false,
      invalidateAll: () => Promise.resolve(),
      noteMissed: () => Promise.reject(new Error('the disk is read-only')),
    },
  });
}

describe('an invalidation of which the next owner of the directory cannot be informed', () => {
  it.each([
    ['a key', (app: LaneApp) => app.manager('standard').invalidate('a')],
    ['a tag', (app: LaneApp) => app.manager('standard').invalidateByTag('t')],
    ['a pattern', (app: LaneApp) => app.manager('standard').invalidateByPattern('a*')],
    ['everything', (app: LaneApp) => app.manager('standard').clearAll()],
    ['the ttl of a key', (app: LaneApp) => app.manager('standard').expire('a')],
  ])('holds in this process, and rejects: %s', async (_what, invalidate) => {
    const app = appWithoutNotes();
    await app.manager('standard').getOrSet('a', async () => 1, { tags: ['t'] });
    await expect(invalidate(app)).rejects.toMatchObject({ code: 'INVALIDATION_NOT_DURABLE' });
    expect(await app.manager('standard').get('a')).toBeUndefined();
  });
});

describe('an invalidation that a tier fails to carry out', () => {
  it.each<readonly [string, 'remove' | 'removeMatching', (cache: CacheManager) => Promise<unknown>]>([
    ['a key', 'remove', (cache) => cache.invalidate('a')],
    ['a pattern', 'removeMatching', (cache) => cache.invalidateByPattern('a*')],
    [
      'a newer result that is not stored',
      'remove',
      (cache) => cache.getOrSet('a', (ctx) => ctx.skipCache(), { forceFresh: true }),
    ],
  ])('holds nevertheless: %s', async (_what, removal, act) => {
    const tier = await DiskTier.open(new MemorySource(), tierSetting().options);
    const app = new LaneApp({ below: [tier] });
    const cache = app.manager();
    await cache.set('a', 'old');
    await tier.flush();
    const fails = jest.spyOn(tier, removal).mockRejectedValueOnce(new StorageFault('io', 'it was not removed'));
    await act(cache);
    await nextTurn();
    expect(fails).toHaveBeenCalledTimes(1);
    expect((await tier.read('standard', 'a')).outcome).toBe('hit');
    expect(await cache.get('a')).toBeUndefined();
  });
});

describe('an invalidation that nobody awaits', () => {
  it('is on disk for the other processes of the directory once a flush has ended', async () => {
    const [disk, jobs] = [new ModelLogDisk(), new Jobs()];
    const unsynced = (): number => [...disk.files.values()].filter(({ bytes, synced }) => synced < bytes.length).length;
    const clock = new FakeClock();
    const hostLog = logBesideTheOwner({ folder: disk.folderOf(jobs), clock, idleClock: clock });
    await hostLog.open();
    const app = new LaneApp({ clock, disk: () => ({ hostLog }) });
    await app.start();
    const before = hostLog.place?.position ?? 0;
    void app.manager().invalidateByTag('t');
    let isFlushed = false;
    void app
      .manager()
      .flush()
      .then(() => (isFlushed = true));
    for (await nextTurn(); jobs.size > 0; await nextTurn()) {
      expect(isFlushed).toBe(false);
      jobs.run(0);
    }
    expect([isFlushed, unsynced(), (hostLog.place?.position ?? 0) > before]).toEqual([true, 0, true]);
    await hostLog.close();
  });
});
