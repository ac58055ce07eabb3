import { describe, expect, it } from '@jest/globals';
import { DeadlineError, settledWithin, withDeadline } from '../../../lib/clock/timers.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';

const never = new Promise<never>(() => undefined);

describe('a deadline', () => {
  it('passes on what settles in time, and leaves no timer', async () => {
    const clock = new FakeClock();
    await expect(withDeadline(clock, Promise.resolve(1), 100, 'work')).resolves.toBe(1);
    await expect(withDeadline(clock, Promise.reject(new Error('failed')), 100, 'work')).rejects.toThrow('failed');
    expect(clock.pending).toBe(0);
  });

  it('rejects with a DeadlineError that names the work', async () => {
    const clock = new FakeClock();
    const late = withDeadline(clock, never, 100, 'the disk').catch((error: unknown) => error);
    await clock.advance('100ms');
    expect(await late).toBeInstanceOf(DeadlineError);
    expect(await late).toMatchObject({ message: 'the disk did not answer within 100 ms', afterMs: 100 });
  });

  it('rejects with the error that the caller makes', async () => {
    const clock = new FakeClock();
    const late = withDeadline(clock, never, 100, () => new RangeError('too late')).catch((error: unknown) => error);
    await clock.advance('100ms');
    expect(await late).toEqual(new RangeError('too late'));
  });

  it('of settledWithin resolves with work that settled, failed or is late', async () => {
    const clock = new FakeClock();
    await settledWithin(clock, Promise.resolve(1), 100);
    await settledWithin(clock, Promise.reject(new Error('failed')), 100);
    const late = settledWithin(clock, never, 100).then(() => clock.monotonic());
    await clock.advance('1s');
    expect(await late).toBe(100);
    expect(clock.pending).toBe(0);
  });
});
