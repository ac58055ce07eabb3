import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import type { ComputeContext } from '../../lib/cache/call-options.js';
import { expectSound } from '../support/audit.js';
import { Deferred } from '../support/deferred.js';
import { Jobs } from '../support/jobs.js';
import type { CacheManager } from '../../lib/app/cache-app.js';
import { LaneApp } from '../support/lane-app.js';
import { ModelDisk, ModelTier } from '../support/model-tier.js';

const fail = (): Promise<never> => Promise.reject(new Error('the source is down'));

/** Each of these tests fails with at least one other cache for Node. */
describe('what other caches get wrong', () => {
  let app: LaneApp;
  let cache: CacheManager;
  let l2: ModelTier;
  beforeEach(() => {
    l2 = new ModelTier('l2', ['standard'], new ModelDisk(), new Jobs());
    app = new LaneApp({ below: [l2], lanes: { standard: { ttl: '10s' } } });
    cache = app.manager();
  });
  afterEach(() => expectSound(app));

  /** Resolves when `work` has resolved and the disk has written. */
  const settled = async <T>(work: Promise<T>): Promise<T> => {
    for (let turn = 0; turn < 3; turn++, await nextTurn()) while (l2.queued > 0) l2.commit();
    return work;
  };

  it.each<[string, () => Promise<unknown>]>([
    ['its key is invalidated', () => cache.invalidate('k')],
    ['a tag of it is invalidated', () => cache.invalidateByTag('t')],
    ['a pattern that matches it is invalidated', () => cache.invalidateByPattern('k*')],
    ['a pattern that matches its tag and key is invalidated', () => cache.invalidateByPattern('t:*')],
    ['everything is cleared', () => cache.clearAll()],
    ['a value is set', () => cache.set('k', 'after', { tags: ['t'] })],
  ])('a computation is not stored when %s meanwhile, in the foreground and in the background', async (_, say) => {
    const options = { tags: ['t'], refreshAhead: 0.1 };
    const slow = new Deferred<string>();
    const first = cache.getOrSet('k', () => slow.promise, options);
    await settled(say());
    slow.resolve('before');
    expect(await first).toBe('before');
    expect(await cache.getOrSet('k', () => 'after', options)).toBe('after');

    await settled(app.clock.advance('2s'));
    const renewal = new Deferred<string>();
    await cache.getOrSet('k', () => renewal.promise, options);
    await settled(say());
    renewal.resolve('before');
    await nextTurn();
    expect(await cache.getOrSet('k', () => 'after', options)).toBe('after');
    await settled(Promise.resolve());
    app.memory.clearAll();
    expect(await cache.getOrSet('k', () => 'after', options)).toBe('after');
  });

  it('tags that the computation sets count, and are added to those of the call, whose list stays as it was', async () => {
    const tags = ['called'];
    await cache.getOrSet('k', (ctx: ComputeContext) => (ctx.setTags(['computed']), 1), { tags });
    await cache.getOrSet('other', () => 2, { tags });
    expect(tags).toEqual(['called']);
    await settled(cache.invalidateByTag('computed'));
    expect(await cache.getMany(['k', 'other'])).toEqual(new Map([['other', 2]]));
  });

  it('a grace shorter than the ttl does not shorten the life of an entry', async () => {
    await settled(cache.getOrSet('k', () => 'value', { ttl: '5s', grace: '50ms' }));
    await app.clock.advance('80ms');
    expect(await cache.get('k')).toBe('value');
  });

  it('a failing source is not called during the back-off, even long after the ttl', async () => {
    const options = { ttl: '1s', grace: '1h', graceBackoff: '100ms' } as const;
    await settled(cache.getOrSet('k', () => 'old', options));
    await app.clock.advance('10m');
    let asked = 0;
    for (let n = 0; n < 30; n++) await cache.getOrSet('k', () => (asked++, fail()), options);
    expect(asked).toBe(1);
  });

  it('a tag stays invalidated for as long as any entry has it', async () => {
    await settled(cache.getOrSet('k', () => 'old', { ttl: '400d', tags: ['t'] }));
    await cache.invalidateByTag('t');
    await app.clock.advance('300d');
    expect(await cache.get('k')).toBeUndefined();
  });

  it.each([0, '', false, null, Number.NaN, 0n])('%p is a value, from memory and from disk', async (value) => {
    await settled(cache.getOrSet('k', () => value));
    expect(await cache.getOrSet('k', fail)).toEqual(value);
    app.memory.clearAll();
    expect(await cache.getOrSet('k', fail)).toEqual(value);
    expect(await cache.get('k')).toEqual(value);
  });

  it('a computation that throws is an error by identity, and no value', async () => {
    const error = new TypeError('mine');
    await expect(cache.getOrSet('k', () => Promise.reject(error))).rejects.toBe(error);
    await expect(
      cache.getOrSet('k', () => {
        throw error;
      }),
    ).rejects.toBe(error);
    expect(await cache.has('k')).toBe(false);
  });

  it('an entry that is only on disk is a hit, and is promoted to memory with its remaining life', async () => {
    await settled(cache.getOrSet('k', () => 'value'));
    await app.clock.advance('9900ms');
    app.memory.clearAll();
    expect(await cache.get('k')).toBe('value');
    expect(app.memory.usage('standard').entries).toBe(1);
    await app.clock.advance('100ms');
    expect(await cache.get('k')).toBeUndefined();
  });

  it("a caller's changes to a value are invisible to other callers", async () => {
    const value = { list: [1] };
    const first = await settled(cache.getOrSet('k', () => value));
    value.list.push(2);
    expect(() => first.list.push(3)).toThrow(TypeError);
    const own = await cache.getOrSet('k', () => value, { isolation: 'clone' });
    own.list.push(4);
    expect(await cache.get('k')).toEqual({ list: [1] });
  });

  it('a broken disk is an event, not an error of the caller', async () => {
    const events: string[] = [];
    app.events.on('tier', ({ tier, state }) => events.push(`${tier} ${state}`));
    l2.fail('broken');
    expect(await cache.getOrSet('k', () => 'value')).toBe('value');
    expect(await cache.set('k', 'set')).toBe(true);
    expect(events).toContain('l2 off');
  });
});
