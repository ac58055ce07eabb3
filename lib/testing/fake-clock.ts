import { type Clock, nextTurn } from '../clock/clock.js';
import { toMilliseconds, type Duration } from '../lanes/units.js';

interface Timer {
  readonly dueAt: number;
  readonly run: () => void;
}

/**
 * A clock that moves only when the test moves it.
 *
 * @example
 * ```ts
 * const clock = new FakeClock();
 * const cache = await CacheManager.fromSettings({ directory: false, clock });
 * await cache.set('token', 'abc', { ttl: '1m' });
 * await clock.advance('1m');
 * await cache.has('token'); // false
 * ```
 */
export class FakeClock implements Clock {
  private wall: number;
  private steady = 0;
  private readonly timers = new Set<Timer>();

  /** `startMs` is the first `now()`; default 2026-01-01T00:00:00Z. */
  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.wall = startMs;
  }

  now(): number {
    return this.wall;
  }

  monotonic(): number {
    return this.steady;
  }

  schedule(afterMs: number, run: () => void): () => void {
    const timer: Timer = { dueAt: this.steady + Math.max(0, afterMs), run };
    this.timers.add(timer);
    return () => void this.timers.delete(timer);
  }

  /** Moves both clocks by `by` and runs what falls due on the way, in order, letting promises settle in between. */
  async advance(by: Duration): Promise<void> {
    const end = this.steady + toMilliseconds(by);
    await nextTurn();
    for (let due = this.takeDue(end); due !== undefined; due = this.takeDue(end)) {
      this.moveTo(due.dueAt);
      due.run();
      await nextTurn();
    }
    this.moveTo(end);
    await nextTurn();
  }

  /** Moves `now()` alone, as an operator or a time server does. */
  step(byMs: number): void {
    this.wall += byMs;
  }

  /** Timers that have not run yet. */
  get pending(): number {
    return this.timers.size;
  }

  /** The first that falls due until `end`; of those due together, the one that was scheduled first. */
  private takeDue(end: number): Timer | undefined {
    let due: Timer | undefined;
    for (const timer of this.timers) {
      if (timer.dueAt <= end && (due === undefined || timer.dueAt < due.dueAt)) due = timer;
    }
    if (due !== undefined) this.timers.delete(due);
    return due;
  }

  private moveTo(steady: number): void {
    if (steady <= this.steady) return;
    this.wall += steady - this.steady;
    this.steady = steady;
  }
}
