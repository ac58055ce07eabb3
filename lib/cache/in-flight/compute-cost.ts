import type { Clock } from '../../clock/clock.js';
import { isThenable } from '../../clock/promises.js';

/**
 * Measures what computations take of their own, for lanes that decide by cost.
 *
 * Time in which the event loop is idle passes for all of them, because each waits for something. Time in which it works is
 * shared among those that run, because one that waits its turn takes none. The step in which a function is called is its own.
 */
export class CostMeter {
  /** What has passed for each of those that run. */
  passed = 0;
  private running = 0;
  private lastAt: number;
  private lastIdle: number;
  /** Of the step under way, what calls within it took of their own. */
  private within = 0;

  constructor(private readonly clock: Clock) {
    this.lastAt = clock.monotonic();
    this.lastIdle = clock.idle?.() ?? 0;
  }

  begin(): ComputeCost {
    return new ComputeCost(this);
  }

  /** Another one runs, or one less. Returns the time. */
  change(by: 1 | -1): number {
    const now = this.clock.monotonic();
    const elapsed = now - this.lastAt;
    const idle = this.clock.idle?.() ?? this.lastIdle + elapsed;
    const idled = Math.min(elapsed, Math.max(0, idle - this.lastIdle));
    this.passed += idled + (elapsed - idled) / Math.max(1, this.running);
    this.lastAt = now;
    this.lastIdle = idle;
    this.running += by;
    return now;
  }

  /** One less runs, which took no time since its step. */
  leave(): void {
    this.running--;
  }

  /** Begins a step, within another or none. Returns what `endStep` takes. */
  beginStep(): number {
    const outer = this.within;
    this.within = 0;
    return outer;
  }

  /** Returns how long the step took, without the steps within it. Nothing of it passes for the others. */
  endStep(outer: number, startedAt: number): number {
    this.lastAt = this.clock.monotonic();
    const ms = this.lastAt - startedAt;
    const ownMs = ms - this.within;
    this.within = outer + ms;
    return ownMs;
  }
}

/** What one computation takes. */
export class ComputeCost {
  private ownMs = 0;
  private from = 0;
  private pausedAt = 0;
  private pausedMs = 0;
  private pauses = 0;
  private isSynchronous = false;
  private hasEnded = false;

  constructor(private readonly meter: CostMeter) {}

  /** Calls the function. Its cost counts from here on. */
  measure<T>(compute: () => T): T {
    const { meter } = this;
    const startedAt = meter.change(1);
    const outer = meter.beginStep();
    try {
      const result = compute();
      this.isSynchronous = typeof result !== 'object' || result === null || !isThenable(result);
      return result;
    } finally {
      this.ownMs = meter.endStep(outer, startedAt);
      this.from = meter.passed;
    }
  }

  /** It waits for another computation from here on, whose cost is not its own. */
  pause(): void {
    if (this.pauses++ > 0 || this.hasEnded) return;
    this.meter.change(-1);
    this.pausedAt = this.meter.passed;
  }

  resume(): void {
    if (--this.pauses > 0 || this.hasEnded) return;
    this.meter.change(1);
    this.pausedMs += this.meter.passed - Math.max(this.pausedAt, this.from);
  }

  /** Ends the measurement. In milliseconds. */
  end(): number {
    this.hasEnded = true;
    if (this.isSynchronous) {
      if (this.pauses === 0) this.meter.leave();
      return this.ownMs;
    }
    // While it is paused it does not count as running.
    if (this.pauses === 0) this.meter.change(-1);
    return this.ownMs + Math.max(0, this.meter.passed - this.from - this.pausedMs);
  }
}
