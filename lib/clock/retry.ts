import type { Clock } from './clock.js';

export interface BackOffOptions {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** Exponential back-off: each delay is twice the one before, up to the longest. */
export class BackOff {
  private nextMs: number;

  constructor(private readonly options: BackOffOptions) {
    this.nextMs = options.firstMs;
  }

  /** The delay that `next` returns. */
  get delayMs(): number {
    return this.nextMs;
  }

  /** The delay to wait now; the one after it is twice as long. */
  next(): number {
    const delayMs = this.nextMs;
    this.nextMs = Math.min(delayMs * 2, this.options.longestMs);
    return delayMs;
  }

  /** After a success: the next delay is the first one again. */
  reset(): void {
    this.nextMs = this.options.firstMs;
  }
}

/** Tries something again, later each time. One attempt is scheduled at a time; it does not keep the process alive. */
export class Retry {
  private readonly backOff: BackOff;
  private cancelTimer: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    options: BackOffOptions,
  ) {
    this.backOff = new BackOff(options);
  }

  get isScheduled(): boolean {
    return this.cancelTimer !== undefined;
  }

  /** How long the next attempt is waited for. An attempt that was cancelled does not lengthen it. */
  get delayMs(): number {
    return this.backOff.delayMs;
  }

  /** Calls `attempt` after the delay, instead of what is scheduled now. */
  schedule(attempt: () => void): void {
    this.cancel();
    this.cancelTimer = this.clock.schedule(this.backOff.delayMs, () => {
      this.cancelTimer = undefined;
      this.backOff.next();
      attempt();
    });
  }

  cancel(): void {
    this.cancelTimer?.();
    this.cancelTimer = undefined;
  }

  /** After a success: the next delay is the first one again. */
  reset(): void {
    this.backOff.reset();
  }
}
