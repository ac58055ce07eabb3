import { describe, expect, it } from '@jest/globals';
import { Sweeper } from '../../../lib/housekeeping/sweeper.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { OffTier } from '../../../lib/tiers/off-tier.js';
import { nextTurn } from '../../../lib/clock/clock.js';
import { HeardEvents } from '../../support/checkpoints.js';
import { Gate } from '../../support/gate.js';

/** A tier whose sweeps take until the gate opens. */
class SlowTier extends OffTier {
  readonly swept: string[] = [];
  readonly gate = new Gate();

  override async sweep(lane = ''): Promise<{ readonly expired: number; readonly evicted: number }> {
    this.swept.push(lane);
    await this.gate.whenOpen;
    return { expired: 1, evicted: 2 };
  }
}

const setUp = () => {
  const [clock, events, tier] = [new FakeClock(), new HeardEvents(), new SlowTier('l2', 'policy')];
  const sweeper = new Sweeper({
    clock,
    events,
    lanes: ['a', 'b'],
    tiers: [tier],
    leftovers: () => Promise.reject(new Error('the folder cannot be read')),
    alongside: () => Promise.reject(new Error('the time cannot be stored')),
  });
  return { clock, events, tier, sweeper };
};

describe('a sweep', () => {
  it('is one round for concurrent callers, and continues when one part fails', async () => {
    const { events, tier, sweeper } = setUp();
    const rounds = [sweeper.sweep(), sweeper.sweep()];
    await nextTurn();
    expect(tier.swept).toEqual(['a']);
    tier.gate.open();
    const [first, second] = await Promise.all(rounds);
    expect(second).toBe(first);
    expect(first).toMatchObject({ expired: 2, evicted: 4, orphanedSessions: 0, quarantinesRemoved: 0 });
    expect([tier.swept, events.of('sweep').length]).toEqual([['a', 'b'], 1]);
  });

  it('that is stopped enters no further lane, is awaited, and is the last one', async () => {
    const { clock, tier, sweeper } = setUp();
    sweeper.start(1_000);
    await clock.advance('1s');
    const stopping = sweeper.stop();
    tier.gate.open();
    await stopping;
    await clock.advance('1m');
    expect(tier.swept).toEqual(['a']);
    expect(clock.pending).toBe(0);
  });
});
