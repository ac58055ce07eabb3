import { afterEach, describe, expect, it } from '@jest/globals';
import { InstanceBench } from '../support/instance-bench.js';

const OPTIONS = { ttl: '10s', refreshAhead: 0.5 } as const;
const COMPUTE_MS = 100;

/** Two instances that share a server, and what each of them computed. */
class Pair {
  private readonly first = new InstanceBench();
  private readonly second = new InstanceBench(this.first.clock, this.first.server);
  readonly computed: string[] = [];

  async start(coalesce: 'process' | 'cluster'): Promise<this> {
    for (const each of this.both) await each.start('serve', coalesce);
    await this.pass(100);
    return this;
  }

  get both(): readonly InstanceBench[] {
    return [this.first, this.second];
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 10) {
      await this.first.pass(10);
      for (let round = 0; round < 3; round++) for (const each of this.both) await each.carry();
    }
  }

  /** The answer of one of them. */
  async ask(at: 0 | 1): Promise<unknown> {
    const compute = (): Promise<string> => {
      this.computed.push(`${at}`);
      const value = `value ${this.computed.length}`;
      return new Promise((resolve) => this.first.clock.schedule(COMPUTE_MS, () => resolve(value)));
    };
    const answer = this.both[at]?.app.manager().getOrSet('k', compute, OPTIONS);
    await this.pass(2 * COMPUTE_MS);
    return answer;
  }
}

describe('refreshes of instances that share a server', () => {
  let pair: Pair;

  afterEach(() => {
    for (const each of pair.both) each.end();
  });

  it.each(['process', 'cluster'] as const)(
    'take the younger entry that another instance has stored, and compute nothing (%s)',
    async (coalesce) => {
      pair = await new Pair().start(coalesce);
      expect([await pair.ask(0), await pair.ask(1), pair.computed]).toEqual(['value 1', 'value 1', ['0']]);
      await pair.pass(6_000);
      // Due: the old value is served, and renewed behind it.
      expect([await pair.ask(0), pair.computed]).toEqual(['value 1', ['0', '0']]);
      expect([await pair.ask(1), await pair.ask(1), pair.computed]).toEqual(['value 1', 'value 2', ['0', '0']]);
      // A refresh is no request.
      const metrics = pair.both[1]?.app.manager().getMetrics();
      expect([metrics?.l1.hits, metrics?.l4.hits, metrics?.misses, metrics?.computed]).toEqual([2, 1, 0, 0]);
    },
  );

  it("compute once where they begin together, in a lane with coalesce: 'cluster'", async () => {
    pair = await new Pair().start('cluster');
    await pair.ask(0);
    await pair.ask(1);
    await pair.pass(6_000);
    await Promise.all([pair.ask(0), pair.ask(1)]);
    expect(pair.computed).toHaveLength(2);
    expect([await pair.ask(0), await pair.ask(1), pair.computed.length]).toEqual(['value 2', 'value 2', 2]);
  });
});
