import type { Clock } from './clock.js';

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

  constructor(private readonly clock: Clock) {
    this.wall = clock.now();
    this.steady = clock.monotonic();
    this.life = this.wall;
  }

  /** The highest life time an earlier process has seen: a restart does not go back either. */
  notBefore(time: number): void {
    this.life = Math.max(this.life, time);
  }

  now(): number {
    const wall = this.clock.now();
    const steady = this.clock.monotonic();
    const wallStep = wall - this.wall;
    const steadyStep = steady - this.steady;
    const step = wallStep > steadyStep ? wallStep : steadyStep;
    if (step > 0) this.life += step;
    this.wall = wall;
    this.steady = steady;
    return this.life;
  }
}
