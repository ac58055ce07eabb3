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

/**
 * The time by which entries live and die, in epoch milliseconds.
 *
 * It moves by the larger of the monotonic and the wall step, so that neither a suspended machine (the monotonic clock
 * stands still) nor a wall clock set back lengthens a life. A wall clock set forward ends lives early, never late.
 */
export class LifeClock {
  private life: number;
  private wall: number;
  private steady: number;
  /** Asking a clock of the machine takes as long as all else that a hit in memory does, so only one is asked each time. */
  private readonly askWallEveryMs: number;

  /** A step of the machine's wall clock, or its suspension, shows within 5 ms; one of another clock at once. */
  constructor(private readonly clock: Clock) {
    this.askWallEveryMs = clock === systemClock ? 5 : 0;
    this.wall = clock.now();
    this.steady = clock.monotonic();
    this.life = this.wall;
  }

  /** The highest life time an earlier process has seen: a restart does not go back either. */
  notBefore(time: number): void {
    this.life = Math.max(this.life, time);
  }

  now(): number {
    const steady = this.clock.monotonic();
    const steadyStep = steady - this.steady;
    if (steadyStep < this.askWallEveryMs) return this.life + steadyStep;
    const wall = this.clock.now();
    const wallStep = wall - this.wall;
    const step = wallStep > steadyStep ? wallStep : steadyStep;
    if (step > 0) this.life += step;
    this.wall = wall;
    this.steady = steady;
    return this.life;
  }
}
