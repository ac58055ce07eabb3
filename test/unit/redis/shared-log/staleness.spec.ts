import { describe, expect, it } from '@jest/globals';
import { Staleness } from '../../../../lib/redis/shared-log/freshness.js';
import { FakeClock } from '../../../../lib/testing/fake-clock.js';

const LIMIT_MS = 1_000;

function watched(): { clock: FakeClock; staleness: Staleness; turns: number[] } {
  const clock = new FakeClock();
  const turns: number[] = [];
  return { clock, turns, staleness: new Staleness(clock, LIMIT_MS, () => turns.push(clock.monotonic())) };
}

describe('the time since the last catch-up', () => {
  it('turns stale at its limit, once, and fresh again with the next word', async () => {
    const { clock, staleness, turns } = watched();
    await clock.advance('999ms');
    expect(staleness.isStale).toBe(false);
    await clock.advance('5s');
    expect([staleness.isStale, turns]).toEqual([true, [1_000]]);
    staleness.freshAsOf(clock.monotonic());
    expect(staleness.isStale).toBe(false);
    await clock.advance('2s');
    expect(turns).toHaveLength(2);
  });

  it('counts from when it was asked, not from when the answer came', async () => {
    const { clock, staleness, turns } = watched();
    await clock.advance('800ms');
    staleness.freshAsOf(300);
    await clock.advance('600ms');
    expect(turns).toEqual([1_300]);
    // an answer to something that was asked too long ago proves nothing
    staleness.freshAsOf(350);
    expect(staleness.isStale).toBe(true);
  });

  it('is not set back by an older word', async () => {
    const { clock, staleness } = watched();
    await clock.advance('900ms');
    staleness.freshAsOf(900);
    staleness.freshAsOf(100);
    await clock.advance('900ms');
    expect(staleness.isStale).toBe(false);
  });

  it('is stale at once when marked so, and never reports after it is stopped', async () => {
    const { clock, staleness, turns } = watched();
    staleness.expireNow();
    expect([staleness.isStale, turns]).toEqual([true, [0]]);
    staleness.stop();
    expect(clock.pending).toBe(0);
  });
});
