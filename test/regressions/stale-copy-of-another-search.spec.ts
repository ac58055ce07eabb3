import { afterEach, describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import { expectSound } from '../support/audit.js';
import { Deferred } from '../support/deferred.js';
import { Jobs } from '../support/jobs.js';
import { LaneApp } from '../support/lane-app.js';
import { ModelDisk, ModelTier } from '../support/model-tier.js';

describe('a stale copy that was invalidated while the tiers were searched', () => {
  const jobs = new Jobs();
  let app: LaneApp;
  afterEach(() => expectSound(app));

  it('is served to nobody who asked after that, if the computation fails', async () => {
    const l2 = new ModelTier('l2', ['standard'], new ModelDisk(), jobs);
    app = new LaneApp({ below: [l2] });
    const cache = app.manager();
    const settle = async (): Promise<void> => {
      await nextTurn();
      for (; l2.queued > 0 || jobs.size > 0; await nextTurn()) {
        while (jobs.size > 0) jobs.run(0);
        if (l2.queued > 0) l2.commit();
      }
    };
    const set = cache.set('k', 'old', { ttl: '1s', grace: '1h' });
    await settle();
    await set;
    await app.clock.advance('2s');
    l2.reads = 'later';
    const source = new Deferred<string>();
    const before = cache.getOrSet('k', () => source.promise);
    const invalidated = cache.invalidate('k');
    while (l2.queued > 0) l2.commit();
    await invalidated;
    await settle();
    const after = cache.getOrSet('k', () => source.promise);
    await settle();
    source.reject(new Error('source down'));
    const answers = await Promise.allSettled([before, after]);
    expect(answers[1]).toMatchObject({ status: 'rejected', reason: { message: 'source down' } });
  });
});
