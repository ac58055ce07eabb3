import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { seededRandom } from '../../lib/testing/seeded-random.js';
import { Workshop } from '../support/child-process.js';
import { Disaster } from '../support/disaster.js';
import { RedisSentinel } from '../support/redis-sentinel.js';
import { describeWithRedis } from '../support/redis-server.js';
import type { TcpProxy } from '../support/tcp-proxy.js';

/** A master and its replica change places, by order or because the master was killed. */
class Pair extends Disaster {
  protected override readonly shareOfServers = 0.4;
  readonly deeds = { failedOver: 0, killed: 0 };

  constructor(
    workshop: Workshop,
    private readonly pair: RedisSentinel,
    random: () => number,
    private readonly kinds: readonly ('killed' | 'failedOver')[],
  ) {
    super(workshop, random, false);
  }

  protected override get ports(): readonly number[] {
    return this.pair.servers.map(({ port }) => port);
  }

  protected override addressOf(index: number, proxies: readonly TcpProxy[]): object {
    const map = Object.fromEntries(
      this.ports.map((port, at) => [`127.0.0.1:${port}`, { host: '127.0.0.1', port: proxies[at]?.port }]),
    );
    const nodes = [{ host: '127.0.0.1', port: this.pair.port }];
    return { kind: `${index === 1 ? 'ioredis' : 'redis'}, sentinel`, nodes, map };
  }

  protected override async strikeServers(): Promise<void> {
    const { pair } = this;
    const kind = this.kinds[Math.floor(this.random() * this.kinds.length)] ?? 'killed';
    this.deeds[kind]++;
    await this.spoilingAll(async () => {
      await (kind === 'killed' ? this.killMaster() : pair.failOver());
      await pair.whenWhole();
    });
  }

  private async killMaster(): Promise<void> {
    const master = await this.pair.master();
    await master.stop();
    await this.pair.whenAnotherThan(master);
    await master.boot();
  }

  protected override get isTelling(): boolean {
    return super.isTelling && this.deeds.killed > 0;
  }
}

describeWithRedis(
  { describe },
  'histories of three processes on a master and a replica that Sentinel watches',
  () => {
    const rounds = Number(process.env['LANE_CACHE_ROUNDS'] ?? 1);
    // After an order the sentinel leaves the old master alone for ten seconds.
    const kinds = rounds === 1 ? (['killed'] as const) : (['killed', 'failedOver'] as const);
    const seed = Number(process.env['LANE_CACHE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    let workshop: Workshop;
    let pair: RedisSentinel;
    let disaster: Pair | undefined;

    beforeAll(async () => {
      [workshop, pair] = await Promise.all([Workshop.build(), RedisSentinel.start()]);
    }, 60_000);

    afterEach(async () => {
      await disaster?.dispose();
      disaster = undefined;
    });

    afterAll(async () => {
      await workshop.dispose();
      await pair.dispose();
    });

    it(
      'serve nothing that an invalidation has named, while the replica takes over',
      async () => {
        const run = new Pair(workshop, pair, seededRandom(seed), kinds);
        disaster = run;
        await run.run(rounds * 3_000);
        const { history, wrong, faults, counts, deeds } = run;
        process.stdout.write(
          `${JSON.stringify({ seed, reads: history.reads.length, published: history.published, ...faults, ...deeds, ...counts })}\n`,
        );
        const violations = history.violations.slice(0, 5);
        expect({ seed, violations, wrong }).toEqual({ seed, violations: [], wrong: [] });
        expect(history.reads.length).toBeGreaterThan(100);
        expect(counts.l4).toBeGreaterThan(0);
      },
      180_000 + rounds * 12_000,
    );
  },
  'own',
);
