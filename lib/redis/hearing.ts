import type { Clock } from '../clock/clock.js';
import type { ProcessHold } from '../clock/keep-alive.js';

export interface HearingOptions {
  readonly clock: Clock;
  readonly life: { now(): number };
  /** How long what was heard stands for what is said. */
  readonly holdsForMs: number;
  /** How long somebody waits to hear the others again. */
  readonly waitMs: number;
  readonly hold: ProcessHold;
}

/** Up to when what this instance holds has been held against what the others say, and who waits for the next time. */
export class Hearing {
  /** Life time. Infinite while the instance is known to be cut off: then other rules tell what it may serve. */
  until = Infinity;
  private waiting: Promise<void> | undefined;
  private wake = (): void => undefined;

  constructor(private readonly options: HearingOptions) {}

  /** Everything said up to then, in monotonic time, has been followed. */
  heardAsOf(asOf: number): void {
    const { clock, life, holdsForMs } = this.options;
    const now = life.now();
    this.until = now - (clock.monotonic() - asOf) + holdsForMs;
    if (now < this.until) this.wake();
  }

  cutOff(): void {
    this.until = Infinity;
    this.wake();
  }

  /** Resolves when the others have been heard again, or it takes too long. One wait serves all who ask meanwhile. */
  again(): Promise<void> {
    this.waiting ??= this.options.hold.during(this.nextTime());
    return this.waiting;
  }

  private nextTime(): Promise<void> {
    const { clock, waitMs } = this.options;
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        this.waiting = undefined;
        this.wake = () => undefined;
        resolve();
      };
      const cancel = clock.schedule(waitMs, end);
      this.wake = end;
    });
  }
}
