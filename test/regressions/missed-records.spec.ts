import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import type { CacheManager } from '../../lib/app/cache-app.js';
import { seededRandom } from '../../lib/testing/seeded-random.js';
import type { SharedInstance } from '../model/shared-log/instance.js';
import { InstancePair } from '../support/instance-pair.js';

describe('records that an instance cannot have', () => {
  let pair: InstancePair;
  let one: SharedInstance;
  let other: SharedInstance;

  const held = async (key: string): Promise<unknown> => pair.during(one.app.manager().get(key));

  beforeEach(async () => {
    pair = new InstancePair();
    one = pair.start(0);
    other = pair.start(1);
    await pair.pass(500);
    await pair.during(one.app.manager().getOrSet('k', async () => 'old', { tags: ['t'] }));
    await pair.pass(500);
    if ((await held('k')) !== 'old') throw new Error('There is nothing to be let go of.');
  });

  afterEach(() => pair.end());

  it('void what it holds when the stream was trimmed under it, while its connection stood', async () => {
    pair.held.add(pair.networks[0]);
    await pair.during(other.app.manager().invalidate('k'));
    await pair.during(other.app.manager().invalidate('another'));
    pair.server.trim('{p}:stream', 1);
    pair.held.clear();
    await pair.pass(100);
    expect(await held('k')).toBeUndefined();
    expect(one.app.manager().getMetrics().l4.state).toBe('on');
  });

  it('and are a pattern leave nothing that it names to be read from the server', async () => {
    pair.held.add(pair.networks[0]);
    await pair.during(other.app.manager().invalidateByPattern('k*'));
    await pair.during(other.app.manager().invalidate('another'));
    pair.server.trim('{p}:stream', 1);
    pair.held.clear();
    await pair.pass(100);
    await pair.during(other.app.manager().invalidateByPattern('z*'));
    await pair.pass(1_000);
    expect(one.app.manager().getMetrics().l4.state).toBe('on');
    expect(await held('k')).toBeUndefined();
  });

  it('drop its entries when a server without them took over, whose log ends where it stopped', async () => {
    pair.networks[0].isDown = true;
    pair.networks[0].cut();
    const replica = pair.server.copy;
    await pair.during(other.app.manager().invalidate('k'));
    pair.networks[1].isDown = true;
    pair.networks[1].cut();
    pair.server.restart(replica);
    pair.networks[0].isDown = false;
    await pair.pass(5_000);
    expect(one.app.manager().getMetrics().l4.state).toBe('on');
    expect(await held('k')).toBeUndefined();
  });

  it.each([
    ['the log still reaches back to where it was', 1_000],
    ['the log was trimmed meanwhile', 0],
  ])('are made up for before its disk is read again: %s', async (_, keep) => {
    await pair.during(one.app.manager().getOrSet('kept', async () => 'kept'));
    await pair.pass(1_000);
    one.kill();
    for (const key of ['k', 'another']) await pair.during(other.app.manager().invalidate(key));
    pair.server.trim('{p}:stream', keep);
    pair.networks[0].isDown = false;
    one = pair.start(0);
    // not even before it has heard anything
    expect(await one.app.manager().get('k')).toBeUndefined();
    await pair.pass(1_000);
    expect(await held('k')).toBeUndefined();
    expect(pair.disk.entries.size).toBe(keep === 0 ? 0 : 1);
  });
});

describe('a value that another instance sets', () => {
  const SCHEDULES = 12;
  let pair: InstancePair;
  let one: CacheManager;
  let other: CacheManager;

  beforeEach(async () => {
    pair = new InstancePair();
    const [first, second] = [pair.start(0), pair.start(1)];
    await pair.pass(500);
    one = first.app.manager();
    other = second.app.manager();
  });

  afterEach(() => pair.end());

  /** What the call resolves to, while the messages of the second instance come in an order drawn at random. */
  const shuffled = async (call: Promise<unknown>, seed: number): Promise<unknown> => {
    const random = seededRandom(seed);
    let isOver = false;
    const over = (): void => void (isOver = true);
    call.then(over, over);
    for (let n = 0; !isOver && n < 500; n++) {
      await nextTurn();
      const { steps } = pair.networks[1];
      if (steps.length === 0) await pair.clock.advance('1ms');
      else steps[Math.floor(random() * steps.length)]?.();
    }
    pair.held.clear();
    await pair.pass(100);
    return call;
  };

  it.each<[string, (key: string) => Promise<unknown>]>([
    ['get', (key) => other.get(key)],
    ['has', async (key) => ((await other.has(key)) ? 'new' : undefined)],
    ['getOrSet', (key) => other.getOrSet(key, () => 'computed')],
    ['getOrSetMany', async (key) => (await other.getOrSetMany([key], () => new Map())).get(key)],
  ])('is found by %s, whether its record or the answer comes first', async (_call, ask) => {
    for (let seed = 1; seed <= SCHEDULES; seed++) {
      const key = `k${seed}`;
      pair.held.add(pair.networks[1]);
      await pair.during(one.set(key, 'new'));
      expect([seed, await shuffled(ask(key), seed)]).toEqual([seed, 'new']);
    }
  });

  it('replaces what was there before, for a caller whose search it has overtaken', async () => {
    for (let seed = 1; seed <= SCHEDULES; seed++) {
      await pair.during(one.set('k', `old ${seed}`));
      pair.held.add(pair.networks[1]);
      await pair.during(one.set('k', `new ${seed}`));
      const computed = shuffled(
        other.getOrSet('k', () => 'computed'),
        seed,
      );
      expect(await computed).toBe(`new ${seed}`);
      expect(await pair.during(other.get('k'))).toBe(`new ${seed}`);
    }
  });
});
