import type { Clock } from '../clock/clock.js';

/** With its commit it then takes less than two. */
const SLICE_MS = 1;

/** A piece of synchronous work, so short that other work need not wait for it. */
export class WorkSlice {
  private readonly endsAt: number;

  constructor(
    private readonly clock: Clock,
    ms = SLICE_MS,
  ) {
    this.endsAt = clock.monotonic() + ms;
  }

  get isSpent(): boolean {
    return this.clock.monotonic() >= this.endsAt;
  }
}
