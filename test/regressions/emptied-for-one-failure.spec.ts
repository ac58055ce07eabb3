import { afterEach, describe, expect, it } from '@jest/globals';
import { InstancePair } from '../support/instance-pair.js';

/** It was emptied when the server had answered: a load of such invalidations had it emptied without end, each for the one before. */
describe('L3 that could not carry an invalidation out', () => {
  const pair = new InstancePair();
  afterEach(() => pair.end());

  it('is emptied before the server has answered', async () => {
    const one = pair.start(0);
    await pair.pass(500);
    const cache = one.app.manager();
    const held = (): readonly string[] => [...pair.disk.entries.values()].map(({ key }) => key);
    await pair.during(cache.getOrSet('before', () => 1));
    const [network] = pair.networks;
    network.isCommandHeld = true;
    one.l3?.fail('broken');
    let isOver = false;
    const invalidated = cache.invalidate('k').then(() => (isOver = true));
    await pair.settle();
    const seen = [isOver, held()];
    network.isCommandHeld = false;
    await pair.during(invalidated);
    expect([...seen, isOver]).toEqual([false, [], true]);
  });
});
