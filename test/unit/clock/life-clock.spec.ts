import { afterEach, describe, expect, it, jest } from '@jest/globals';
import * as fc from 'fast-check';
import { systemClock, LifeClock } from '../../../lib/clock/clock.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';

describe('LifeClock', () => {
  it('never goes back and never runs slower than real time, for any jump of the wall clock', async () => {
    const anySteps = fc.array(
      fc.record({ passes: fc.nat(100_000), wall: fc.integer({ min: -200_000, max: 200_000 }), reads: fc.boolean() }),
      { maxLength: 20 },
    );
    await fc.assert(
      fc.asyncProperty(anySteps, async (steps) => {
        const clock = new FakeClock();
        const life = new LifeClock(clock);
        const start = life.now();
        let last = start;
        for (const { passes, wall, reads } of steps) {
          clock.step(wall);
          await clock.advance(`${passes}ms`);
          const now = reads ? life.now() : last;
          expect(now).toBeGreaterThanOrEqual(last);
          last = now;
        }
        expect(life.now() - start).toBeGreaterThanOrEqual(clock.monotonic());
      }),
      { numRuns: 50 },
    );
  });

  it('follows a wall clock that is set forward, as after a suspension', () => {
    const clock = new FakeClock();
    const life = new LifeClock(clock);
    const start = life.now();
    clock.step(60_000);
    expect(life.now()).toBe(start + 60_000);
  });

  it('starts no earlier than an earlier process has ended', () => {
    const clock = new FakeClock(1_000);
    const life = new LifeClock(clock);
    life.notBefore(5_000);
    expect(life.now()).toBe(5_000);
    life.notBefore(2_000);
    expect(life.now()).toBe(5_000);
  });

  it('counts no time twice that it hears from another process before it has read its own clock', async () => {
    const clock = new FakeClock(1_000);
    const [life, idle] = [new LifeClock(clock), new LifeClock(clock)];
    for (let minute = 0; minute < 60; minute++) {
      await clock.advance('1m');
      idle.notBefore(life.now());
      life.notBefore(idle.now());
    }
    expect([life.now(), idle.now()]).toEqual([clock.now(), clock.now()]);
  });

  it('runs as fast as real time beside a wall clock of whole milliseconds', () => {
    let passedMs = 0;
    const clock = {
      now: () => Math.floor(1_000_000.5 + passedMs),
      monotonic: () => passedMs,
      schedule: () => () => undefined,
    };
    const life = new LifeClock(clock);
    const start = life.now();
    for (let reading = 0; reading < 10_000; reading++) {
      passedMs += 7.4;
      life.now();
    }
    expect(life.now() - start).toBeCloseTo(74_000, 3);
  });

  it('of the machine advances between readings', () => {
    const life = new LifeClock(systemClock);
    const readings = Array.from({ length: 10_000 }, () => life.now());
    expect(readings).toEqual(readings.toSorted((a, b) => a - b));
    expect(Math.abs(life.now() - Date.now())).toBeLessThan(1_000);
  });
});

describe('the clock of the machine under a test runner', () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  it('stands still while timers are fake, and moves with them', () => {
    jest.useFakeTimers();
    const [steady, life] = [systemClock.monotonic(), new LifeClock(systemClock)];
    const start = life.now();
    jest.advanceTimersByTime(600_000);
    expect(systemClock.monotonic() - steady).toBe(600_000);
    expect(life.now() - start).toBe(600_000);
  });

  it('does so where timers were fake before the library was loaded', async () => {
    jest.useFakeTimers();
    jest.resetModules();
    const { systemClock: loaded } = await import('../../../lib/clock/clock.js');
    const steady = loaded.monotonic();
    jest.advanceTimersByTime(600_000);
    expect(loaded.monotonic() - steady).toBe(600_000);
  });

  it('moves with fake timers beside which the wall clock is real', () => {
    jest.useFakeTimers({ doNotFake: ['Date'] });
    const [steady, life] = [systemClock.monotonic(), new LifeClock(systemClock)];
    const start = life.now();
    jest.advanceTimersByTime(600_000);
    expect(systemClock.monotonic() - steady).toBe(600_000);
    expect(life.now() - start).toBe(600_000);
  });

  it('follows a wall clock that only the test sets', () => {
    jest.useFakeTimers({ doNotFake: ['performance'] });
    const life = new LifeClock(systemClock);
    const start = life.now();
    jest.setSystemTime(Date.now() + 600_000);
    const until = systemClock.monotonic() + 6;
    while (systemClock.monotonic() < until) life.now();
    // Of the time since the wall clock was read last, up to 5 ms are part of the step.
    expect(life.now() - start).toBeGreaterThanOrEqual(600_000 - 5);
  });
});
