import type { Clock } from '../clock/clock.js';

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
