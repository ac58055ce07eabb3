import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import type { SharedInstance } from '../model/shared-log/instance.js';
import { InstancePair } from '../support/instance-pair.js';

const KEYS = Array.from({ length: 20 }, (_, n) => `k${n}`);

describe('a bulk write to a server that takes one record after the other', () => {
  let pair: InstancePair;
  let one: SharedInstance;
  let other: SharedInstance;

  beforeEach(async () => {
    pair = new InstancePair();
    one = pair.start(1);
    other = pair.start(0);
    await pair.pass(500);
  });
  afterEach(() => pair.end());

  /** How the write ends while each message of the writer takes `ms` of the clock. */
  const write = async (ms: number, most: number): Promise<unknown> => {
    const [, network] = pair.networks;
    pair.held.add(network);
    const manager = one.app.manager();
    const ends: unknown[] = [];
    const set = (key: string): Promise<unknown> =>
      manager.set(key, `new ${key}`).catch((error: unknown) => Reflect.get(Object(error), 'code') as unknown);
    const all = Promise.all(KEYS.map(set)).then((results) => ends.push(...results));
    for (let n = 0; ends.length === 0 && n < most; n++) {
      for (let turn = 0; turn < 3; turn++) await nextTurn();
      // Each connection takes one message to the server, and one back.
      for (const step of network.steps) step();
      await pair.pass(ms);
    }
    pair.held.clear();
    await pair.during(all);
    return [...new Set(ends)];
  };

  it('ends once the server has all, however long that takes in all, and loses no value', async () => {
    expect(await write(60, 400)).toEqual([true]);
    for (const key of KEYS) expect(await pair.during(other.app.manager().get(key))).toBe(`new ${key}`);
    expect(one.app.manager().getMetrics().l4).toMatchObject({ state: 'on', errors: 0 });
  });

  it('ends with INVALIDATION_PENDING where the server takes nothing', async () => {
    pair.networks[1].isHole = true;
    expect(await write(60, 400)).toEqual(['INVALIDATION_PENDING']);
  });
});
