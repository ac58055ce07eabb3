import { describe, expect, it } from '@jest/globals';
import { CostMeter } from '../../../lib/cache/in-flight/compute-cost.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';

/** A clock whose event loop works or idles as the test says. */
class LoopClock extends FakeClock {
  private time = 0;
  private idled = 0;

  override monotonic(): number {
    return this.time;
  }

  idle(): number {
    return this.idled;
  }

  work(ms: number): void {
    this.time += ms;
  }

  rest(ms: number): void {
    this.time += ms;
    this.idled += ms;
  }
}

const later = new Promise(() => undefined);

describe('the cost of a computation', () => {
  it('is the time that a synchronous function takes, whatever passes until its result is taken', () => {
    const clock = new LoopClock();
    const cost = new CostMeter(clock).begin();
    cost.measure(() => {
      clock.work(30);
      return 'value';
    });
    clock.work(500);
    expect(cost.end()).toBe(30);
  });

  it('is what it waits for, and no part of the work of others', () => {
    const clock = new LoopClock();
    const meter = new CostMeter(clock);
    const first = meter.begin();
    void first.measure(() => later);
    const second = meter.begin();
    void second.measure(() => {
      clock.work(400);
      return later;
    });
    clock.rest(50);
    expect(first.end()).toBe(50);
    expect(second.end()).toBe(450);
  });

  it('shares the work of the event loop among those that run', () => {
    const clock = new LoopClock();
    const meter = new CostMeter(clock);
    const costs = Array.from({ length: 10 }, () => meter.begin());
    for (const cost of costs) void cost.measure(() => later);
    clock.work(1_000);
    expect(costs.map((cost) => Math.round(cost.end()))).toEqual(costs.map(() => 100));
  });

  it('leaves out what it waits for another computation', () => {
    const clock = new LoopClock();
    const meter = new CostMeter(clock);
    const outer = meter.begin();
    void outer.measure(() => later);
    clock.rest(10);
    outer.pause();
    const inner = meter.begin();
    void inner.measure(() => later);
    clock.rest(200);
    expect(inner.end()).toBe(200);
    outer.resume();
    clock.rest(5);
    expect(outer.end()).toBe(15);
  });

  it('leaves out the step of a computation within its own', () => {
    const clock = new LoopClock();
    const meter = new CostMeter(clock);
    const [outer, inner] = [meter.begin(), meter.begin()];
    outer.measure(() => {
      clock.work(10);
      inner.measure(() => clock.work(70));
      clock.work(20);
      return 'value';
    });
    expect([outer.end(), inner.end()]).toEqual([30, 70]);
  });

  it('counts nothing twice when a computation ends while it waits', () => {
    const clock = new LoopClock();
    const meter = new CostMeter(clock);
    const left = meter.begin();
    void left.measure(() => later);
    left.pause();
    left.end();
    left.resume();
    const next = meter.begin();
    void next.measure(() => later);
    clock.work(60);
    expect(next.end()).toBe(60);
  });
});
