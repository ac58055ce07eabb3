import { describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import { OffTier } from '../../lib/tiers/off-tier.js';
import { Deferred } from '../support/deferred.js';
import { Jobs } from '../support/jobs.js';
import { FREE_TURNS, LaneApp, QuietLog } from '../support/lane-app.js';
import { ModelDisk, ModelTier } from '../support/model-tier.js';

/** One of several instances that share a log. It is disconnected for too long while `isStale` is true. */
function instance(...below: readonly ModelTier[]) {
  const log = new QuietLog();
  const app = new LaneApp({ below, share: () => ({ tier: new OffTier('l4', 'policy'), log, turns: FREE_TURNS }) });
  return { app, log };
}

describe('the value of a queued computation', () => {
  it('is not stored while the instance has been disconnected for too long', async () => {
    const { app, log } = instance();
    const cache = app.manager();
    const sources = [new Deferred<string>(), new Deferred<string>()];
    const running = sources.map(async (source) => {
      const answer = cache.getOrSet('k', () => source.promise);
      await cache.invalidate('k');
      return answer;
    });
    await nextTurn();
    const queued = cache.getOrSet('k', async () => 'of the queue');
    log.isStale = true;
    app.serverInvalidations?.suspect();
    for (const source of sources) source.resolve('superseded');
    await Promise.all(running);
    expect(await queued).toBe('of the queue');
    expect(await cache.getOrSet('k', async () => 'anew')).toBe('anew');
    expect(await cache.get('k')).toBeUndefined();
    log.isStale = false;
    expect(await cache.getOrSet('k', async () => 'after')).toBe('after');
  });

  it('is computed then, even if the disk has one', async () => {
    const disk = new ModelTier('l2', ['standard'], new ModelDisk(), new Jobs());
    const { app, log } = instance(disk);
    const cache = app.manager();
    const commit = async (): Promise<void> => {
      await nextTurn();
      while (disk.queued > 0) disk.commit();
      await nextTurn();
    };
    const sources = [new Deferred<string>(), new Deferred<string>()];
    const running: Promise<unknown>[] = [];
    for (const source of sources) {
      running.push(cache.getOrSet('k', () => source.promise, { forceFresh: true }));
      const stored = cache.set('k', 'set meanwhile');
      await commit();
      await stored;
      app.memory.clearAll();
    }
    const queued = cache.getOrSet('k', async () => 'computed');
    log.isStale = true;
    app.serverInvalidations?.suspect();
    for (const source of sources) source.resolve('superseded');
    await Promise.all(running);
    expect(await queued).toBe('computed');
  });
});

describe('an entry in memory of an instance that has been disconnected for too long', () => {
  it('is not served to a caller that moves from an invalidated computation to the next', async () => {
    const { app, log } = instance();
    const cache = app.manager();
    const source = new Deferred<string>();
    const first = cache.getOrSet('k', () => source.promise);
    await cache.set('other', 'moves the position');
    // it joins before the key is set, and moves to another computation when the first has ended
    const late = cache.getOrSet('k', () => source.promise);
    await cache.set('k', 'held');
    log.isStale = true;
    app.serverInvalidations?.suspect();
    source.resolve('computed');
    expect(await first).toBe('computed');
    await late;
    expect(await cache.getOrSet('k', async () => 'anew')).toBe('anew');
    expect(await cache.get('k')).toBeUndefined();
  });
});
