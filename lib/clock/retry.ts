import type { Clock } from './clock.js';

interface BackOffOptions {
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

/**
 * Runs `step` every `ms`, counted from the end of the step before, until it resolves to `done`. A step that fails is tried
 * again.
 */
export class Repetition {
  private running: Promise<void> | undefined;
  private cancel = (): void => undefined;
  private stopped = false;
  private isWanted = false;

  constructor(
    private readonly clock: Clock,
    private readonly ms: number,
    private readonly step: () => Promise<'done' | 'again'>,
  ) {
    this.next();
  }

  /** Runs the next step now, or right after the one that runs. */
  soon(): void {
    if (this.stopped) return;
    if (this.running !== undefined) this.isWanted = true;
    else this.start();
  }

  /** Resolves when no step runs any more. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.cancel();
    await this.running;
  }

  private next(): void {
    this.cancel = this.clock.schedule(this.ms, () => this.start());
  }

  private start(): void {
    this.cancel();
    this.running = this.run().finally(() => (this.running = undefined));
  }

  private async run(): Promise<void> {
    do {
      this.isWanted = false;
      const outcome = await this.step().catch(() => 'again');
      if (outcome === 'done') this.stopped = true;
    } while (this.isWanted && !this.stopped);
    if (!this.stopped) this.next();
  }
}
