/** Time and timers as the library sees them: the only door to the machine's clocks. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Milliseconds that never step back. */
  monotonic(): number;
  /** Runs `run` once after `afterMs`, without keeping the process alive. Returns the cancel function. */
  schedule(afterMs: number, run: () => void): () => void;
}

/** The machine's own clock. */
export const systemClock: Clock = Object.freeze({
  now: () => Date.now(),
  monotonic: () => performance.now(),
  schedule: (afterMs: number, run: () => void) => {
    const timer = setTimeout(run, afterMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
});
