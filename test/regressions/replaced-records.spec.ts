import { afterEach, describe, expect, it } from '@jest/globals';
import { collected } from '../support/garbage.js';
import { InstancePair } from '../support/instance-pair.js';

describe('a record that a later one replaces while the server is away', () => {
  const pairs: InstancePair[] = [];
  afterEach(() => {
    for (const pair of pairs.splice(0)) pair.end();
  });

  // The second has no disk, so its calls wait for the server in vain.
  it.each([
    ['kept on disk', 0],
    ['given up', 1],
  ] as const)('is not kept in memory once it is %s', async (_what, at) => {
    const pair = new InstancePair();
    pairs.push(pair);
    const instance = pair.start(at);
    await pair.pass(500);
    pair.networks[at].isDown = true;
    pair.networks[at].cut();
    await pair.pass(500);
    const { outgoing } = instance.distributed.log;
    const replaced: WeakRef<object>[] = [];
    const invalidate = async (key: string): Promise<void> => {
      await pair.during(instance.app.manager().invalidate(key)).catch(() => undefined);
      replaced.push(
        ...outgoing.all.filter(({ record }) => record.subject === key).map((record) => new WeakRef(record)),
      );
    };
    for (let n = 0; n < 5; n++) await invalidate('k');
    await invalidate('another');
    const left = (): number => replaced.filter((record) => record.deref() !== undefined).length;
    // Looking at a weak reference holds what it names until the next turn.
    await collected(() => false);
    expect([left(), outgoing.all.length]).toEqual([2, 2]);
    pair.networks[at].isDown = false;
    await pair.pass(5_000);
    expect(outgoing.all).toEqual([]);
  });
});
