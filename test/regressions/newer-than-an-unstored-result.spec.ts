import { afterEach, describe, expect, it } from '@jest/globals';
import type { Compute } from '../../lib/cache/call-options.js';
import { nextTurn } from '../../lib/clock/clock.js';
import { expectSound } from '../support/audit.js';
import { Deferred } from '../support/deferred.js';
import { Jobs } from '../support/jobs.js';
import { OffTier } from '../../lib/tiers/off-tier.js';
import { LaneApp, QuietLog } from '../support/lane-app.js';
import { recordOf } from '../support/stored-tiers.js';
import { ModelDisk, ModelTier } from '../support/model-tier.js';

describe('a computation that began after one whose result is not stored', () => {
  const jobs = new Jobs();
  let app: LaneApp;
  let l2: ModelTier;
  const open = (): ReturnType<LaneApp['manager']> => {
    l2 = new ModelTier('l2', ['standard'], new ModelDisk(), jobs);
    app = new LaneApp({ below: [l2] });
    return app.manager();
  };
  const commitAll = async (): Promise<void> => {
    for (; l2.queued > 0; await nextTurn()) l2.commit();
  };
  const waitingFor = (end: Deferred, calls: string[], name: string): Compute<unknown> => {
    return () => {
      calls.push(name);
      return end.promise;
    };
  };
  afterEach(() => expectSound(app));

  it.each([
    ['was invalidated', (cache: ReturnType<LaneApp['manager']>) => cache.invalidateByTag('t')],
    ['asks not to be stored', () => Promise.resolve()],
  ])('is shared by those who come then, and stored, when the first one %s', async (_why, meanwhile) => {
    const cache = open();
    await cache.getOrSet('k', () => 'old', { tags: ['t'], refreshAhead: 0.001 });
    await commitAll();
    const [first, second] = [new Deferred(), new Deferred()];
    const calls: string[] = [];
    await app.clock.advance('1m');
    // A refresh in the background.
    await cache.getOrSet(
      'k',
      (ctx) => {
        ctx.skipCache();
        return first.promise;
      },
      { tags: ['t'], refreshAhead: 0.001 },
    );
    await meanwhile(cache);
    const forced = cache.getOrSet('k', waitingFor(second, calls, 'second'), { forceFresh: true });
    first.resolve('never stored');
    await nextTurn();
    const joined = cache.getOrSet('k', waitingFor(second, calls, 'third'));
    second.resolve('new');
    expect(await Promise.all([forced, joined])).toEqual(['new', 'new']);
    await commitAll();
    expect(calls).toEqual(['second']);
    expect(await cache.get('k')).toBe('new');
    app.memory.clearAll();
    expect(await cache.get('k')).toBe('new');
  });

  it('does not find what is older than the first one, although it had begun to look', async () => {
    const cache = open();
    await cache.getOrSet('k', () => 'old');
    await commitAll();
    const [first, second] = [new Deferred(), new Deferred()];
    const calls: string[] = [];
    const unstored = cache.getOrSet(
      'k',
      (ctx) => {
        ctx.skipCache();
        return first.promise;
      },
      { forceFresh: true, hardTimeout: '1s' },
    );
    const patient = cache.getOrSet('k', () => 'never called', { forceFresh: true });
    unstored.catch(() => undefined);
    await app.clock.advance('1s');
    await expect(unstored).rejects.toThrow('hardTimeout');
    app.memory.clearAll();
    l2.reads = 'later';
    const looking = cache.getOrSet('k', waitingFor(second, calls, 'second'));
    jobs.run(0);
    first.resolve('newer');
    expect(await patient).toBe('newer');
    await commitAll();
    while (jobs.size > 0) jobs.run(0);
    await nextTurn();
    expect(calls).toEqual(['second']);
    second.resolve('newest');
    expect(await looking).toBe('newest');
    expect(await cache.get('k')).toBe('newest');
    await commitAll();
  });

  it('is shared and stored also when the first one went past the cache', async () => {
    const cache = open();
    await cache.getOrSet('k', () => 'old');
    await commitAll();
    const [first, second] = [new Deferred(), new Deferred()];
    const calls: string[] = [];
    const past = cache.getOrSet('k', () => first.promise, { ttl: 0 });
    const forced = cache.getOrSet('k', waitingFor(second, calls, 'second'), { forceFresh: true });
    first.resolve('never stored');
    expect(await past).toBe('never stored');
    expect(await cache.get('k')).toBeUndefined();
    const joined = cache.getOrSet('k', waitingFor(second, calls, 'third'));
    second.resolve('new');
    expect(await Promise.all([forced, joined])).toEqual(['new', 'new']);
    await commitAll();
    expect(calls).toEqual(['second']);
    expect(await cache.get('k')).toBe('new');
  });
});

describe('a value that is stored while it is looked up whether a tier holds an older one than a result that is not stored', () => {
  it('stays', async () => {
    const jobs = new Jobs();
    const l2 = new ModelTier('l2', ['standard'], new ModelDisk(), jobs);
    const app = new LaneApp({ below: [l2] });
    const cache = app.manager();
    const commitAll = async (): Promise<void> => {
      for (; l2.queued > 0; await nextTurn()) l2.commit();
    };
    await cache.getOrSet('k', () => 'old');
    await commitAll();
    app.memory.clearAll();
    l2.reads = 'later';
    const past = cache.getOrSet('k', () => 'not stored', { ttl: 0 });
    await nextTurn();
    expect(jobs.size).toBe(1);
    const stored = cache.set('k', 'newest');
    await commitAll();
    await stored;
    while (jobs.size > 0) jobs.run(0);
    expect(await past).toBe('not stored');
    await commitAll();
    expect(await cache.get('k')).toBe('newest');
    expectSound(app);
  });
});

describe('a value that another process has stored in its turn', () => {
  it('stays where the one that had lost the turn has computed as well', async () => {
    const turns = { take: async () => ({ isHeld: async () => false, end: () => undefined }) };
    const share = () => ({ tier: new OffTier('l4', 'policy'), log: new QuietLog(), turns });
    const l3 = new ModelTier('l3', ['standard'], new ModelDisk(), new Jobs());
    const lanes = { standard: { l4: { enabled: true, coalesce: 'cluster' } } } as const;
    const app = new LaneApp({ below: [l3], lanes, share });
    app.serverInvalidations?.release();
    const cache = app.manager();
    l3.disk.entries.set('standard k', recordOf('k', { expiresAt: app.clock.now() - 1 }));
    const slow = new Deferred();
    const computed = cache.getOrSet('k', () => slow.promise);
    await nextTurn();
    l3.disk.entries.set('standard k', recordOf('k', { value: 'of the other process' }));
    slow.resolve('too late');
    expect(await computed).toBe('too late');
    while (l3.queued > 0) l3.commit();
    expect([l3.disk.entries.size, cache.getMetrics().refused.fenced]).toEqual([1, 1]);
  });
});
