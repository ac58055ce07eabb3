import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Compute } from '../../lib/cache/call-options.js';
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
  const endSearch = async (): Promise<void> => {
    await nextTurn();
    while (jobs.size > 0) jobs.run(0);
    await nextTurn();
  };
  const ask = (unstored: 'neither' | 'searched first' | 'begun first'): void => {
    const search = cache.getOrSet('k', (ctx) => {
      if (unstored === 'searched first') ctx.skipCache();
      return searchedFirst.promise;
    });
    const compute: Compute<unknown> = (ctx) => {
      if (unstored === 'begun first') ctx.skipCache();
      return begunFirst.promise;
    };
    answers = [search, cache.getOrSet('k', compute, { forceFresh: true })];
  };
  const end = async (computation: Deferred, value: string, call: 0 | 1): Promise<void> => {
    computation.resolve(value);
    expect(await answers[call]).toBe(value);
  };

  beforeEach(() => {
    l2 = new ModelTier('l2', ['standard'], new ModelDisk(), jobs);
    l2.reads = 'later';
    app = new LaneApp({ below: [l2] });
    cache = app.manager();
    [searchedFirst, begunFirst] = [new Deferred(), new Deferred()];
  });
  afterEach(() => expectSound(app));

  it.each([
    [
      'is the newer one: the other is not served after it, although it is not stored',
      'searched first',
      'newer',
      undefined,
    ],
    ['is not replaced by the other, which is stored after it', 'neither', 'newer', 'newer'],
    ['is stored in place of the other, which was stored before it', 'neither', 'older', 'newer'],
    ['is stored although the other is not, which ended before it', 'begun first', 'older', 'newer'],
  ] as const)('%s', async (_what, unstored, endsFirst, kept) => {
    ask(unstored);
    await endSearch();
    const ends = [() => end(searchedFirst, 'newer', 0), () => end(begunFirst, 'older', 1)];
    for (const next of endsFirst === 'newer' ? ends : ends.toReversed()) await next();
    await commitAll();
    l2.reads = 'at-once';
    expect(await cache.get('k')).toBe(kept);
  });

  it('removes the other from disk when it is not stored, although memory no longer has it', async () => {
    ask('searched first');
    await nextTurn();
    // The tier has been read by now, and has not answered.
    jobs.run(0);
    await end(begunFirst, 'older', 1);
    await commitAll();
    app.memory.clearAll();
    await endSearch();
    await end(searchedFirst, 'newer', 0);
    await commitAll();
    l2.reads = 'at-once';
    expect(await cache.get('k')).toBeUndefined();
  });
});
