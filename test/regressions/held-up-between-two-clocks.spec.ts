import { describe, expect, it } from '@jest/globals';
import { type Clock, LifeClock } from '../../lib/clock/clock.js';

/** A busy machine takes the processor away from a process before every other reading of its wall clock. */
class HeldUp implements Clock {
  private passed = 0;
  private readings = 0;

  now(): number {
    this.passed += this.readings++ % 2 === 0 ? 0.5 : 50;
    return Math.floor(this.passed);
  }

  monotonic(): number {
    return (this.passed += 5);
  }

  schedule(): () => void {
    throw new Error('no timer is needed');
  }
}

/** A step of the wall clock is larger by as long as the process was held up. It was counted, and then once more. */
describe('a process that is held up between the readings of its two clocks', () => {
  it('does not end the life of entries early', () => {
    const clock = new HeldUp();
    const life = new LifeClock(clock);
    const [start, before] = [life.now(), clock.monotonic()];
    let now = start;
    for (let n = 0; n < 1_000; n++) now = life.now();
    const passed = clock.monotonic() - before;
    expect(now - start).toBeLessThan(passed * 1.02);
    expect(now - start).toBeGreaterThan(passed * 0.98);
  });
});
