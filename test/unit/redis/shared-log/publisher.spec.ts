import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { SharedInstance } from '../../../model/shared-log/instance.js';
import { InstancePair } from '../../../support/instance-pair.js';

describe('what an instance publishes', () => {
  let pair: InstancePair;
  let one: SharedInstance;
  let other: SharedInstance;
  beforeEach(async () => {
    pair = new InstancePair();
    one = pair.start(0);
    other = pair.start(1);
    await pair.pass(500);
  });
  afterEach(() => pair.end());

  it('brings the value of a set along, also where everything is flushed in the step of the call', async () => {
    const stored = one.app.manager().set('k', 'v');
    const flushed = one.distributed.tier.flush();
    await pair.during(Promise.all([stored, flushed]));
    expect(await pair.during(other.app.manager().get('k'))).toBe('v');
  });

  it('is all that had waited, before it is connected again', async () => {
    const [, network] = pair.networks;
    network.isDown = true;
    network.cut();
    await pair.pass(500);
    const pending = Array.from({ length: 300 }, (_, n) => other.app.manager().invalidate(`k${n}`));
    await pair.during(Promise.allSettled(pending));
    const { outgoing } = other.distributed.log;
    const left = [outgoing.all.length];
    other.app.events.on('tier', ({ tier, state }) => {
      if (tier === 'l4' && state === 'on') left.push(outgoing.all.length);
    });
    network.isDown = false;
    await pair.pass(2_000);
    expect(left).toEqual([300, 0]);
  });
});
