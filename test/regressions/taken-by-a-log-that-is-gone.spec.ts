import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { SharedInstance } from '../model/shared-log/instance.js';
import { InstancePair } from '../support/instance-pair.js';

/** Its number was waited for in the next log, which counts from one again, and the next log never got it. */
describe('an invalidation whose answer comes after the server has begun another log', () => {
  let pair: InstancePair;
  let one: SharedInstance;

  beforeEach(async () => {
    pair = new InstancePair({ commandTimeoutMs: 900 });
    // Without a disk, so that nothing but the server can take it.
    one = pair.start(1);
    await pair.pass(500);
  });
  afterEach(() => pair.end());

  it('is published there, and resolves', async () => {
    const { log } = one.distributed;
    const [, network] = pair.networks;
    const before = log.cursor?.generation;
    network.isCommandHeld = true;
    let isOver = false;
    void one.app
      .manager()
      .invalidate('k')
      .then(() => (isOver = true));
    await pair.settle();
    for (const name of pair.server.names) pair.server.evict(name);
    while (log.cursor?.generation === before) await pair.pass(20);
    const seen = [isOver, log.cursor?.sequence];
    network.isCommandHeld = false;
    await pair.pass(800);
    expect([...seen, isOver, log.cursor?.sequence]).toEqual([false, 0, true, 1]);
  });
});
