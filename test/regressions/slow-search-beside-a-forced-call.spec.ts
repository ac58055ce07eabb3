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
  const begin = (unstored: Parameters<typeof ask>[0]): Promise<void> => {
    ask(unstored);
    return endSearch();
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
    await begin('searched first');
    searchedFirst.resolve('newer');
    expect(await answers[0]).toBe('newer');
    begunFirst.resolve('older');
    expect(await answers[1]).toBe('older');
    await commitAll();
    l2.reads = 'at-once';
    expect(await cache.get('k')).toBeUndefined();
  });

  it('is stored in place of the other, which was stored before it', async () => {
    await begin('neither');
    begunFirst.resolve('older');
    expect(await answers[1]).toBe('older');
    searchedFirst.resolve('newer');
    expect(await answers[0]).toBe('newer');
    await commitAll();
    expect(await cache.get('k')).toBe('newer');
  });

  it('is stored although the other is not, which ended before it', async () => {
    await begin('begun first');
    begunFirst.resolve('older');
    expect(await answers[1]).toBe('older');
    searchedFirst.resolve('newer');
    expect(await answers[0]).toBe('newer');
    await commitAll();
    expect(await cache.get('k')).toBe('newer');
  });

  it('removes the other from disk when it is not stored, although memory no longer has it', async () => {
    ask('searched first');
    await nextTurn();
    // The tier has been read by now, and has not answered.
    jobs.run(0);
    begunFirst.resolve('older');
    expect(await answers[1]).toBe('older');
    await commitAll();
    app.memory.clearAll();
    await endSearch();
    searchedFirst.resolve('newer');
    expect(await answers[0]).toBe('newer');
    await commitAll();
    l2.reads = 'at-once';
    expect(await cache.get('k')).toBeUndefined();
  });

  it('is not replaced by the other, which is stored after it', async () => {
    await begin('neither');
    searchedFirst.resolve('newer');
    expect(await answers[0]).toBe('newer');
    begunFirst.resolve('older');
    expect(await answers[1]).toBe('older');
    await commitAll();
    expect(await cache.get('k')).toBe('newer');
  });
});
