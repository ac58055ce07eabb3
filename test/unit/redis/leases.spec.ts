import { describe, expect, it } from '@jest/globals';
import { KeepAlive, nextTurn } from '../../../lib/clock/clock.js';
import { LeasedTurns } from '../../../lib/cache/turns.js';
import { KeySpace } from '../../../lib/redis/keys.js';
import { Leases } from '../../../lib/redis/leases.js';
import { Connection } from '../../../lib/redis/client/connection.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { Deferred } from '../../support/deferred.js';
import { ModelNetwork } from '../../support/model-network.js';
import { ModelRedis } from '../../support/model-redis.js';

interface Instance {
  readonly leases: Leases;
  readonly turns: LeasedTurns;
}

/** Instances over one server, whose messages all arrive at once. */
class Cluster {
  readonly clock = new FakeClock();
  private readonly server = new ModelRedis(() => this.clock.now());
  private readonly networks: ModelNetwork[] = [];
  private readonly hold = new KeepAlive();

  async join(written: () => Promise<unknown> = () => Promise.resolve()): Promise<Instance> {
    const { clock, hold } = this;
    const network = new ModelNetwork(this.server, clock);
    this.networks.push(network);
    const opening = Connection.open(network.template, clock, { timeoutMs: 250, hold, changed: () => undefined });
    await this.settle();
    const session = await opening;
    const leases = new Leases({ keys: new KeySpace('p'), connection: () => session });
    return { leases, turns: new LeasedTurns({ table: leases, clock, written, hold }) };
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 100) {
      await this.clock.advance('100ms');
      await this.settle();
    }
  }

  async settle(): Promise<void> {
    for (;;) {
      await nextTurn();
      const [step] = this.networks.flatMap(({ steps }) => steps);
      if (step === undefined) return;
      step();
    }
  }

  /** Resolves to what came of it by then. */
  async take({ turns }: Instance): Promise<{ outcome: 'waits' | 'turn' | 'ended'; end: () => void }> {
    const state: { outcome: 'waits' | 'turn' | 'ended'; end: () => void } = { outcome: 'waits', end: () => undefined };
    void turns.take('docs', 'k').then((turn) => {
      state.outcome = turn === 'ended' ? 'ended' : 'turn';
      if (turn !== 'ended') state.end = () => turn.end();
    });
    await this.settle();
    return state;
  }

  /** Its connections are gone. */
  part(instance: number): void {
    this.networks[instance]?.cut();
  }

  end(): void {
    this.hold.end();
  }
}

describe('compute leases', () => {
  it('last as long as their holder computes, and others wait for thirty seconds at most', async () => {
    const cluster = new Cluster();
    const [one, other] = [await cluster.join(), await cluster.join()];
    const mine = await cluster.take(one);
    const theirs = await cluster.take(other);
    await cluster.pass(29_000);
    expect([mine.outcome, theirs.outcome]).toEqual(['turn', 'waits']);
    await cluster.pass(2_000);
    expect(theirs.outcome).toBe('turn');
    mine.end();
    await cluster.settle();
    cluster.end();
  });

  it('pass to another instance when their holder is gone, and are granted to all without a server', async () => {
    const cluster = new Cluster();
    const [one, other] = [await cluster.join(), await cluster.join()];
    await cluster.take(one);
    const theirs = await cluster.take(other);
    cluster.part(0);
    await cluster.pass(2_000);
    expect(theirs.outcome).toBe('waits');
    await cluster.pass(2_000);
    expect(theirs.outcome).toBe('turn');
    expect((await cluster.take(one)).outcome).toBe('turn');
    cluster.end();
  });

  it('are released after the entry is stored, so that a notified instance finds it', async () => {
    const cluster = new Cluster();
    const writing = new Deferred<void>();
    const [one, other] = [await cluster.join(() => writing.promise), await cluster.join()];
    const mine = await cluster.take(one);
    mine.end();
    await cluster.settle();
    const theirs = await cluster.take(other);
    expect(theirs.outcome).toBe('waits');
    writing.resolve();
    await cluster.settle();
    other.leases.ended(['{p}:lease:docs:k']);
    await cluster.settle();
    expect(theirs.outcome).toBe('ended');
    expect((await cluster.take(other)).outcome).toBe('turn');
    cluster.end();
  });
});
