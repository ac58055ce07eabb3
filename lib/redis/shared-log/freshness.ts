import type { Clock } from '../../clock/clock.js';
import type { KeepAlive } from '../../clock/keep-alive.js';

interface FreshnessWindowOptions {
  readonly clock: Clock;
  readonly life: { now(): number };
  /** How long what was heard stands for what is said. */
  readonly holdsForMs: number;
  /** How long somebody waits to hear the others again. */
  readonly waitMs: number;
  readonly hold: KeepAlive;
}

/** Up to when what this instance holds has been held against what the others say, and who waits for the next time. */
export class FreshnessWindow {
  /** Life time. Infinite while the instance is known to be cut off: then other rules tell what it may serve. */
  caughtUpUntil = Infinity;
  private waiting: Promise<void> | undefined;
  private wake = (): void => undefined;

  constructor(private readonly options: FreshnessWindowOptions) {}

  /** Everything said up to then, in monotonic time, has been followed. */
  caughtUpAsOf(asOf: number): void {
    const { clock, life, holdsForMs } = this.options;
    const now = life.now();
    this.caughtUpUntil = now - (clock.monotonic() - asOf) + holdsForMs;
    if (now < this.caughtUpUntil) this.wake();
  }

  lose(): void {
    this.caughtUpUntil = Infinity;
    this.wake();
  }

  /** Resolves when the others have been heard again, or it takes too long. One wait serves all who ask meanwhile. */
  whenCaughtUp(): Promise<void> {
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

/** Watches how long ago this instance was known to have heard everything. */
export class Staleness {
  isStale = false;
  private freshAt: number;
  private cancel: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly limitMs: number,
    private readonly becameStale: () => void,
  ) {
    this.freshAt = clock.monotonic();
    this.watch(limitMs);
  }

  /** Everything that had been said at that time has been followed. */
  freshAsOf(time: number): void {
    this.freshAt = Math.max(this.freshAt, time);
    if (this.clock.monotonic() - this.freshAt >= this.limitMs) return;
    if (this.isStale) this.watch(this.limitMs);
    this.isStale = false;
  }

  /** Cut off: where nothing may be served without the server, it starts now. */
  expireNow(): void {
    this.freshAt = -Infinity;
    this.cancel?.();
    this.turnStale();
  }

  stop(): void {
    this.cancel?.();
    this.cancel = undefined;
  }

  private watch(afterMs: number): void {
    this.cancel?.();
    this.cancel = this.clock.schedule(afterMs, () => {
      const left = this.freshAt + this.limitMs - this.clock.monotonic();
      if (left > 0) this.watch(left);
      else this.turnStale();
    });
  }

  private turnStale(): void {
    if (this.isStale) return;
    this.isStale = true;
    this.becameStale();
  }
}

/** The server's clock as seen from here, never behind it: so that no entry lives longer for the way it came. */
export class ServerTime {
  private ahead = -Infinity;

  /** What the server said is asked at `askedAt`, in life time. */
  told(askedAt: number, serverNow: number): void {
    this.ahead = serverNow - askedAt;
  }

  /** Life time at which the server's clock will show `at`, or a little before. */
  whenShows(at: number): number {
    return at - this.ahead;
  }
}
