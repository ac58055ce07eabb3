import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { LaneManager } from '../../lib/cache/lane-manager.js';
import { MAX_STALENESS_MS, type SharedInstance } from '../model/shared-log/instance.js';
import { InstancePair } from '../support/instance-pair.js';

/** How a caller sees a newer value of `k` that is not stored. */
const NEWER: Readonly<Record<string, (cache: LaneManager) => Promise<unknown>>> = {
  'asked not to be stored': (cache) =>
    cache.getOrSet('k', (ctx) => {
      ctx.skipCache();
      return 'new';
    }),
  'is undefined': (cache) => cache.getOrSet('k', () => undefined, { forceFresh: true }),
  'goes past the cache': (cache) => cache.getOrSet('k', () => 'new', { ttl: 0 }),
};

describe('an entry on the server, once a caller has seen a newer result that is not stored', () => {
  let pair: InstancePair;
  let one: SharedInstance;
  let other: SharedInstance;

  beforeEach(async () => {
    pair = new InstancePair();
    one = pair.start(0);
    other = pair.start(1);
    await pair.pass(500);
    await pair.during(other.app.manager().getOrSet('k', () => 'old'));
    await pair.pass(100);
  });
  afterEach(() => pair.end());

  /** The first instance is cut off for so long before it sees the newer result. */
  const seeCutOff = async (see: (cache: LaneManager) => Promise<unknown>, ms: number): Promise<void> => {
    const [network] = pair.networks;
    network.isDown = true;
    network.cut();
    await pair.pass(ms);
    await pair.during(see(one.app.manager()));
    await pair.pass(100);
    network.isDown = false;
    await pair.pass(3_000);
    expect(one.app.manager().getMetrics().l4.state).toBe('on');
  };

  for (const [why, see] of Object.entries(NEWER)) {
    it(`is served to nobody after the reconnect, where the result ${why} while the server could not be reached`, async () => {
      await seeCutOff(see, 200);
      for (const { app } of [one, other]) expect(await pair.during(app.manager().get('k'))).toBeUndefined();
    });

    it(`is served to nobody after the reconnect, where the result ${why} after maxStaleness`, async () => {
      await seeCutOff(see, MAX_STALENESS_MS + 2_000);
      for (const { app } of [one, other]) expect(await pair.during(app.manager().get('k'))).toBeUndefined();
    });
  }

  it('is served to nobody after the reconnect, where the result is of @CachePut after maxStaleness', async () => {
    await seeCutOff((cache) => cache.putComputed('k', () => 'new'), MAX_STALENESS_MS + 2_000);
    for (const { app } of [one, other]) expect(await pair.during(app.manager().get('k'))).toBeUndefined();
  });

  describe('where results could not be stored after maxStaleness', () => {
    const KEYS = ['k', 'another', 'a third'];

    beforeEach(async () => {
      for (const key of KEYS) await pair.during(other.app.manager().getOrSet(key, () => 'old'));
      await pair.pass(100);
      const newer = async (cache: LaneManager): Promise<void> => {
        for (const key of KEYS) await cache.getOrSet(key, () => 'new');
      };
      await seeCutOff(newer, MAX_STALENESS_MS + 2_000);
    });

    it('is not served where the newer results were seen', async () => {
      for (const key of KEYS) expect(await pair.during(one.app.manager().get(key))).toBeUndefined();
    });

    it('gives way to what is computed after the reconnect, wherever that is', async () => {
      const [third, ...rest] = KEYS.toReversed();
      for (const key of rest) await pair.during(one.app.manager().getOrSet(key, () => 'computed anew'));
      await pair.during(other.app.manager().getOrSet(`${third}`, () => 'computed anew', { forceFresh: true }));
      await pair.pass(100);
      one.app.memory.clearAll();
      for (const key of KEYS) expect(await pair.during(one.app.manager().get(key))).toBe('computed anew');
    });

    it('is served again under keys whose newer results nobody saw', async () => {
      await pair.during(other.app.manager().getOrSet('unseen', () => 'held'));
      await pair.pass(100);
      expect(await pair.during(one.app.manager().get('unseen'))).toBe('held');
    });
  });
});

describe('keys that are invalidated over and over while the server cannot be reached', () => {
  it('are one record each after the reconnect', async () => {
    const pair = new InstancePair();
    const one = pair.start(0);
    const other = pair.start(1);
    await pair.pass(500);
    const [network] = pair.networks;
    network.isDown = true;
    network.cut();
    await pair.pass(100);
    const before = other.app.log.position;
    for (let n = 0; n < 50; n++) {
      for (const key of ['one', 'two']) await pair.during(one.app.manager().invalidate(key));
    }
    network.isDown = false;
    await pair.pass(3_000);
    expect(one.app.manager().getMetrics().l4.state).toBe('on');
    expect(other.app.log.position - before).toBe(2);
    pair.end();
  });

  it('rejects each call with INVALIDATION_PENDING, where nothing keeps the records', async () => {
    const pair = new InstancePair();
    const cache = pair.start(1).app.manager();
    await pair.pass(500);
    const [, network] = pair.networks;
    network.isDown = true;
    network.cut();
    await pair.pass(100);
    const calls = Promise.allSettled([
      cache.invalidate('k'),
      cache.invalidate('k'),
      cache.invalidateByTag('t'),
      cache.expireByTag('t'),
    ]);
    const codes = (await pair.during(calls)).map((call) =>
      call.status === 'rejected' ? (Reflect.get(Object(call.reason), 'code') as unknown) : call.status,
    );
    expect(codes).toEqual(Array.from(codes, () => 'INVALIDATION_PENDING'));
    pair.end();
  });
});
