import * as timers from 'node:timers';
import { describe, expect, it, jest } from '@jest/globals';
import {
  type Clock,
  nextTurn,
  systemClock,
  DeadlineError,
  settledWithin,
  SharedDeadline,
  withDeadline,
} from '../../../lib/clock/clock.js';
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

  it('does not count the time in which the process was stopped or the event loop was blocked', async () => {
    let steady = 0;
    const due: (() => void)[] = [];
    const clock: Clock = {
      now: () => steady,
      monotonic: () => steady,
      schedule: (_ms, run) => (due.push(run), () => undefined),
    };
    let answer = (_value: string): void => undefined;
    const work = new Promise<string>((resolve) => (answer = resolve));
    const settled = withDeadline(clock, work, 100, 'the disk');
    steady += 10_000;
    for (const run of due.splice(0)) run();
    await nextTurn();
    answer('in time');
    await expect(settled).resolves.toBe('in time');
  });

  it('serves an answer that has arrived before it gives up', async () => {
    const clock = new FakeClock();
    const settled = withDeadline(
      clock,
      nextTurn().then(() => 'arrived'),
      1,
      'the disk',
    );
    await clock.advance('1ms');
    await expect(settled).resolves.toBe('arrived');
  });

  it('passes although fake timers run all that is due at once', async () => {
    jest.useFakeTimers();
    try {
      const work = new Promise<string>((resolve) => timers.setImmediate(() => resolve('in time')));
      const settled = withDeadline(systemClock, work, 5_000, 'the disk');
      jest.advanceTimersByTime(61_000);
      await expect(settled).resolves.toBe('in time');
    } finally {
      jest.useRealTimers();
    }
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

describe('a deadline that many share', () => {
  it('passes on what settles in time, and leaves no timer', async () => {
    const clock = new FakeClock();
    const deadline = new SharedDeadline(clock, 100, 'work');
    const passed = deadline.during(Promise.resolve(1));
    const failed = deadline.during(Promise.reject(new Error('failed')));
    expect(clock.pending).toBe(1);
    await expect(passed).resolves.toBe(1);
    await expect(failed).rejects.toThrow('failed');
    expect(clock.pending).toBe(0);
  });

  it('rejects each after its own time, one that starts meanwhile a step later at most', async () => {
    const clock = new FakeClock();
    const deadline = new SharedDeadline(clock, 100, 'the disk');
    const ends: (readonly [string, number, unknown])[] = [];
    const begin = (name: string): void => {
      deadline.during(never).catch((error: unknown) => ends.push([name, clock.monotonic(), error]));
    };
    begin('first');
    await clock.advance('50ms');
    begin('second');
    await clock.advance('200ms');
    begin('third');
    await clock.advance('200ms');
    expect(ends.map(([name, at]) => `${name} ${at}`)).toEqual(['first 100', 'second 160', 'third 350']);
    for (const [, , error] of ends) expect(error).toEqual(new DeadlineError('the disk', 100));
    expect(clock.pending).toBe(0);
  });

  it('does not count the time in which the process was stopped, and serves an answer that has arrived', async () => {
    const due: (() => void)[] = [];
    const clock: Clock = { ...systemClock, schedule: (_ms, run) => (due.push(run), () => undefined) };
    const deadline = new SharedDeadline(clock, 100, 'the disk');
    const settled = deadline.during(nextTurn().then(() => 'arrived'));
    for (const run of due.splice(0)) run();
    await expect(settled).resolves.toBe('arrived');
    await nextTurn();
    expect(due).toEqual([]);
  });
});
