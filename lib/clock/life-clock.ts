import { systemClock, type Clock } from './clock.js';

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
