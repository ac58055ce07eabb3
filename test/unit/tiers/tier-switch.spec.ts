import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { TierSwitch } from '../../../lib/tiers/store-supervisor.js';
import { RecordingEvents } from '../../support/stored-tiers.js';

function setUp() {
  const clock = new FakeClock();
  const events = new RecordingEvents();
  const tried: number[] = [];
  let isBroken = true;
  const tierSwitch: TierSwitch = new TierSwitch({
    tier: 'l2',
    clock,
    events,
    repair: () => {
      tried.push(clock.monotonic() / 1000);
      if (isBroken) return Promise.reject(new Error('still broken'));
      tierSwitch.turnOn();
      return Promise.resolve();
    },
  });
  return { clock, events, tried, tierSwitch, mend: (): void => void (isBroken = false) };
}

describe('the switch of a tier', () => {
  it('tries again after 1, 2, 4 … and at most 60 seconds', async () => {
    const { tierSwitch, clock, tried } = setUp();
    tierSwitch.trip('breaker', 'failed');
    await clock.advance('250s');
    expect(tried).toEqual([1, 3, 7, 15, 31, 63, 123, 183, 243]);
  });

  it('reports each change of state once, for any number of failed calls', async () => {
    const { tierSwitch, clock, events, mend } = setUp();
    tierSwitch.trip('breaker', 'failed');
    tierSwitch.trip('breaker', 'failed again');
    tierSwitch.trip('disk-full', 'and full');
    mend();
    await clock.advance('10s');
    tierSwitch.turnOn();
    expect(events.states).toEqual(['off breaker', 'off disk-full', 'on']);
    expect(tierSwitch.state).toEqual({ state: 'on' });
    expect(clock.pending).toBe(0);
  });

  it('starts from one second again once it was on', async () => {
    const { tierSwitch, clock, tried, mend } = setUp();
    tierSwitch.trip('breaker', 'failed');
    await clock.advance('4s');
    mend();
    await clock.advance('10s');
    tierSwitch.trip('breaker', 'failed');
    await clock.advance('1s');
    expect(tried).toEqual([1, 3, 7, 15]);
  });

  it('is waited for ever longer when it fails again as soon as it is on', async () => {
    const { tierSwitch, clock, events, tried, mend } = setUp();
    mend();
    tierSwitch.trip('disk-full', 'no room for this one');
    for (let seconds = 0; seconds < 600; seconds++) {
      await clock.advance('1s');
      if (tierSwitch.state.state === 'on') tierSwitch.trip('disk-full', 'no room for this one');
    }
    expect(tried.slice(0, 8)).toEqual([1, 3, 7, 15, 31, 63, 123, 183]);
    expect(events.states.length).toBeLessThan(32);
    await clock.advance('10m');
    tierSwitch.trip('disk-full', 'no room for this one');
    const before = tried.length;
    await clock.advance('1s');
    expect(tried.length).toBe(before + 1);
  });

  it('stays off once it is closed', async () => {
    const { tierSwitch, clock, tried } = setUp();
    tierSwitch.trip('breaker', 'failed');
    tierSwitch.turnOff('closed', 'closed');
    tierSwitch.trip('breaker', 'failed');
    tierSwitch.turnOn();
    await clock.advance('100s');
    expect(tried).toEqual([]);
    expect(tierSwitch.state).toEqual({ state: 'off', reason: 'closed' });
  });
});
