import type { Clock, KeepAlive } from '../../clock/clock.js';

interface FreshnessWindowOptions {
  readonly clock: Clock;
  readonly life: { now(): number };
  /** How long this instance counts as caught up after a read. */
  readonly holdsForMs: number;
  /** How long a caller waits for this instance to catch up. */
  readonly waitMs: number;
  readonly hold: KeepAlive;
}

/** Until when this instance counts as caught up with the shared log, and the callers that wait for it. */
export class FreshnessWindow {
  /** Epoch ms. Infinite while the instance is known to be disconnected: then `Staleness` decides what it may serve. */
  caughtUpUntil = Infinity;
  private waiting: Promise<void> | undefined;
  private wake = (): void => undefined;

  constructor(private readonly options: FreshnessWindowOptions) {}

  /** Every record up to then (monotonic time) has been followed. */
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

  /** Resolves when this instance has caught up, or it takes too long. Concurrent callers share one wait. */
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

/** Watches how long ago this instance was known to have caught up. */
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

  /** Every record up to that time has been followed. */
  freshAsOf(time: number): void {
    this.freshAt = Math.max(this.freshAt, time);
    if (this.clock.monotonic() - this.freshAt >= this.limitMs) return;
    if (this.isStale) this.watch(this.limitMs);
    this.isStale = false;
  }

  /** Disconnected: with `onDisconnect: 'bypass'` nothing is served from now on. */
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

/** The server's clock as an upper bound, so that no entry lives longer because it was sent. */
export class ServerTime {
  private ahead = -Infinity;
  private atLeastAhead = -Infinity;

  /** The server answered `serverNow` to a question of `askedAt`; the answer came at `answeredAt` (epoch ms). */
  observe(askedAt: number, serverNow: number, answeredAt: number): void {
    this.ahead = serverNow - askedAt;
    this.atLeastAhead = serverNow - answeredAt;
  }

  /** What the server's clock shows at `at`, or a little less (epoch ms). */
  shownAt(at: number): number {
    return at + this.atLeastAhead;
  }

  /** When the server's clock will show `at`, or a little before (epoch ms). */
  whenShows(at: number): number {
    return at - this.ahead;
  }
}
