import { randomBytes } from 'node:crypto';

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

/** A fraction in [0, 1), for spreading load; not for secrets. */
export const randomFraction = (): number => Math.random();

/** 128 unguessable bits as 32 hexadecimal digits. */
export const randomId = (): string => randomBytes(16).toString('hex');

/** Resolves in a later turn of the event loop, after waiting input has been served. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
