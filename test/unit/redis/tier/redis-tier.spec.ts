import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { recordOf } from '../../../../lib/testing/tier-contract-records.js';
import type { TierLookup } from '../../../../lib/tiers/tier.js';
import type { SharedInstance } from '../../../model/shared-log/instance.js';
import { InstancePair } from '../../../support/instance-pair.js';

describe('L4 of an instance', () => {
  let pair: InstancePair;
  let one: SharedInstance;
  beforeEach(async () => {
    pair = new InstancePair();
    one = pair.start(1);
    await pair.pass(500);
  });
  afterEach(() => pair.end());

  it('asks nothing more while 10,000 look-ups are under way, and asks again once they are answered', async () => {
    const { tier } = one.distributed;
    const read = async (): Promise<TierLookup> => tier.read('standard', 'k');
    const asked = Array.from({ length: 10_000 }, read);
    expect(await read()).toEqual({ outcome: 'off', reason: 'disconnected' });
    await pair.during(Promise.all(asked));
    expect(await pair.during(read())).toEqual({ outcome: 'miss' });
  });

  it('is not asked while its server does not answer in time', async () => {
    const { tier } = one.distributed;
    const [, network] = pair.networks;
    pair.held.add(network);
    const late = tier.read('standard', 'k');
    expect(late).toBeInstanceOf(Promise);
    await pair.pass(500);
    expect(await late).toEqual({ outcome: 'off', reason: 'disconnected' });
    expect(tier.read('standard', 'k')).toEqual({ outcome: 'off', reason: 'disconnected' });
  });

  it('takes no more than 64 MB that are under way, and takes more once they are stored', async () => {
    const { tier } = one.distributed;
    const offer = (key: string, megabytes: number): unknown => {
      const bytes = Buffer.alloc(megabytes * 1024 ** 2);
      const birth = one.app.log.position;
      return tier.offer('standard', { ...recordOf(key, { expiresAt: pair.clock.now() + 60_000 }), birth, bytes });
    };
    expect([offer('a', 4), offer('b', 61)]).toEqual(['queued', 'backlog']);
    await pair.during(tier.flush());
    expect(offer('b', 61)).toBe('queued');
  });
});
