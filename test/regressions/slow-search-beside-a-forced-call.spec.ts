import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import { expectSound } from '../support/audit.js';
import { Deferred } from '../support/deferred.js';
import { Jobs } from '../support/jobs.js';
import { LaneApp } from '../support/lane-app.js';
import { ModelDisk, ModelTier } from '../support/model-tier.js';

describe('a computation whose search took until another one of its key had begun', () => {
  const jobs = new Jobs();
  let app: LaneApp;
  let cache: ReturnType<LaneApp['manager']>;
  let l2: ModelTier;
  let searchedFirst: Deferred;
  let begunFirst: Deferred;
  let answers: readonly [searchedFirst: Promise<unknown>, begunFirst: Promise<unknown>];

  const commitAll = async (): Promise<void> => {
    for (; l2.queued > 0; await nextTurn()) l2.commit();
  };
  const begin = async (isStored: boolean): Promise<void> => {
    const search = cache.getOrSet('k', (ctx) => {
      if (!isStored) ctx.skipCache();
      return searchedFirst.promise;
    });
    const forced = cache.getOrSet('k', () => begunFirst.promise, { forceFresh: true });
    answers = [search, forced];
    await nextTurn();
    while (jobs.size > 0) jobs.run(0);
    await nextTurn();
  };

  beforeEach(() => {
    l2 = new ModelTier('l2', ['standard'], new ModelDisk(), jobs);
    l2.reads = 'later';
    app = new LaneApp({ below: [l2] });
    cache = app.manager();
    [searchedFirst, begunFirst] = [new Deferred(), new Deferred()];
  });
  afterEach(() => expectSound(app));

  it('is the newer one: the other is not served after it, although it is not stored', async () => {
    await begin(false);
    searchedFirst.resolve('newer');
    expect(await answers[0]).toBe('newer');
    begunFirst.resolve('older');
    expect(await answers[1]).toBe('older');
    await commitAll();
    l2.reads = 'at-once';
    expect(await cache.get('k')).toBeUndefined();
  });

  it('is stored in place of the other, which was stored before it', async () => {
    await begin(true);
    begunFirst.resolve('older');
    expect(await answers[1]).toBe('older');
    searchedFirst.resolve('newer');
    expect(await answers[0]).toBe('newer');
    await commitAll();
    expect(await cache.get('k')).toBe('newer');
  });

  it('is not replaced by the other, which is stored after it', async () => {
    await begin(true);
    searchedFirst.resolve('newer');
    expect(await answers[0]).toBe('newer');
    begunFirst.resolve('older');
    expect(await answers[1]).toBe('older');
    await commitAll();
    expect(await cache.get('k')).toBe('newer');
  });
});
