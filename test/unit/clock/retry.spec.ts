import { describe, expect, it } from '@jest/globals';
import { BackOff, Retry } from '../../../lib/clock/retry.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';

const OPTIONS = { firstMs: 1_000, longestMs: 5_000 };

describe('the back-off', () => {
  it('doubles each delay, up to the longest', () => {
    const backOff = new BackOff(OPTIONS);
    expect([1, 2, 3, 4, 5].map(() => backOff.next())).toEqual([1_000, 2_000, 4_000, 5_000, 5_000]);
  });

  it('returns the next delay without using it up', () => {
    const backOff = new BackOff(OPTIONS);
    expect([backOff.delayMs, backOff.delayMs, backOff.next(), backOff.delayMs]).toEqual([1_000, 1_000, 1_000, 2_000]);
  });

  it('begins with the first delay again after a reset', () => {
    const backOff = new BackOff(OPTIONS);
    backOff.next();
    backOff.next();
    backOff.reset();
    expect([backOff.next(), backOff.next()]).toEqual([1_000, 2_000]);
  });
});

describe('the retry', () => {
  const setUp = () => {
    const clock = new FakeClock();
    const attempts: number[] = [];
    const retry = new Retry(clock, OPTIONS);
    const attempt = (): void => void attempts.push(clock.monotonic());
    return { clock, attempts, retry, attempt };
  };

  it('waits longer before each attempt', async () => {
    const { clock, attempts, retry, attempt } = setUp();
    const failing = (): void => {
      attempt();
      retry.schedule(failing);
    };
    retry.schedule(failing);
    await clock.advance('20s');
    expect(attempts).toEqual([1_000, 3_000, 7_000, 12_000, 17_000]);
  });

  it('schedules one attempt at a time', async () => {
    const { clock, attempts, retry, attempt } = setUp();
    retry.schedule(attempt);
    await clock.advance('500ms');
    retry.schedule(attempt);
    await clock.advance('5s');
    expect(attempts).toEqual([1_500]);
  });

  it('makes no attempt, and no longer delay, once it was cancelled', async () => {
    const { clock, attempts, retry, attempt } = setUp();
    retry.schedule(attempt);
    expect(retry.isScheduled).toBe(true);
    retry.cancel();
    expect([retry.isScheduled, clock.pending, retry.delayMs]).toEqual([false, 0, 1_000]);
    await clock.advance('10s');
    expect(attempts).toEqual([]);
  });

  it('can be scheduled again from within an attempt', async () => {
    const { clock, retry } = setUp();
    const scheduled: boolean[] = [];
    retry.schedule(() => {
      scheduled.push(retry.isScheduled);
      retry.schedule(() => undefined);
      scheduled.push(retry.isScheduled);
    });
    await clock.advance('1s');
    expect(scheduled).toEqual([false, true]);
  });

  it('waits for the first delay again after a reset', async () => {
    const { clock, attempts, retry, attempt } = setUp();
    retry.schedule(attempt);
    await clock.advance('1s');
    retry.reset();
    retry.schedule(attempt);
    await clock.advance('1s');
    expect(attempts).toEqual([1_000, 2_000]);
  });
});
