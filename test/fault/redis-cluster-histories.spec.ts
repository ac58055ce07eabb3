import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { slotOf } from '../../lib/redis/client/cluster-router.js';
import { seededRandom } from '../../lib/testing/seeded-random.js';
import { edited, Workshop } from '../support/child-process.js';
import { Disaster } from '../support/disaster.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { describeWithRedis, type RedisServer } from '../support/redis-server.js';
import type { TcpProxy } from '../support/tcp-proxy.js';

/** A cluster: nodes are stopped, killed and replaced, and slots move. */
class WholeCluster extends Disaster {
  protected override readonly shareOfServers = 0.4;
  readonly deeds = { moved: 0, failedOver: 0, frozen: 0, killed: 0 };

  constructor(
    workshop: Workshop,
    private readonly cluster: RedisCluster,
    random: () => number,
  ) {
    super(workshop, random, false);
  }

  protected override get ports(): readonly number[] {
    return this.cluster.servers.map(({ port }) => port);
  }

  protected override addressOf(index: number, proxies: readonly TcpProxy[]): object {
    const reached = proxies.map(({ port }) => ({ host: '127.0.0.1', port }));
    const map = Object.fromEntries(this.ports.map((port, at) => [`127.0.0.1:${port}`, reached[at]]));
    return { kind: index === 1 ? 'ioredis' : 'redis', nodes: reached, map };
  }

  protected override async strikeServers(): Promise<void> {
    const log = `{${this.prefix}}:meta`;
    const isOfTheLog = this.random() < 0.4;
    const dice = this.random();
    const { cluster } = this;
    try {
      const master = await (isOfTheLog ? cluster.masterOf(log) : cluster.otherMasterThan(log));
      if (dice < 0.4) await this.moveSlots(isOfTheLog, log);
      else if (dice < 0.6) await this.failOver(master);
      else if (dice < 0.8) await this.freezeServer(master);
      else await this.killServer(master);
    } catch (error) {
      // A cluster that is still busy with what happened before refuses what comes next.
      this.refused.push(String(error));
    }
  }

  readonly refused: string[] = [];

  private async moveSlots(isOfTheLog: boolean, log: string): Promise<void> {
    this.deeds.moved++;
    const { cluster } = this;
    const found = await Promise.all(this.ports.map((port) => cluster.ask(port, 'KEYS', `${this.prefix}:e:*`)));
    const some = found
      .flatMap((text) => text.split('\n').filter((name) => name.startsWith(this.prefix)))
      .map(slotOf)
      .slice(0, 8);
    if (!isOfTheLog) return cluster.move(some, await cluster.masterOf(log));
    await this.spoilingAll(async () => cluster.move([slotOf(log)], await cluster.otherMasterThan(log)));
  }

  private async failOver(master: RedisServer): Promise<void> {
    this.deeds.failedOver++;
    await this.spoilingAll(() => this.cluster.failOver(master));
  }

  private async freezeServer(master: RedisServer): Promise<void> {
    this.deeds.frozen++;
    await this.spoilingAll(async () => {
      master.freeze();
      await this.sleep(this.random() * 3_000);
      master.thaw();
      await this.cluster.whenWhole();
    });
  }

  private async killServer(master: RedisServer): Promise<void> {
    this.deeds.killed++;
    await this.spoilingAll(async () => {
      await master.stop();
      await this.sleep(this.random() * 3_000);
      await master.boot();
      await this.cluster.whenWhole();
    });
  }
}

/** Nothing goes wrong around the processes. */
class CalmCluster extends WholeCluster {
  protected override strike(): Promise<void> {
    return Promise.resolve();
  }
}

/** With a library that serves stale entries: it goes on until one was seen. */
class BrokenCluster extends CalmCluster {
  protected override get isTelling(): boolean {
    return this.history.violations.length > 0;
  }
}

type Edit = readonly [file: string, text: string, instead: string];

const APPLIED = 'lib/redis/shared-log/applied-records.ts';

/** No entry is removed by a record, as where each such command is lost. */
const WITHOUT_REMOVALS: Edit = [
  'lib/redis/tier/spread-entries.ts',
  "if (lane === null || (kind !== 'key' && kind !== 'expire')) return false;",
  'if (generation !== undefined) return false;',
];
/** What must not be left out. With the removals alone, nothing stale is served. */
const WITHOUT: Readonly<Record<string, readonly Edit[]>> = {
  'judging keys': [
    [
      APPLIED,
      'if (this.keys !== undefined && this.keys.isAfter(birth, [keyMember(entry.lane, entry.key)])) return true;',
      '',
    ],
  ],
  floors: [
    [APPLIED, 'const REMEMBERED = 100_000;', 'const REMEMBERED = 4;'],
    [APPLIED, 'return birth >= this.since && birth >= this.patterns.floor;', 'return birth >= this.since;'],
    ['lib/invalidation/invalidation-log.ts', 'if (birth < this.lowest) return true;', ''],
  ],
};

async function without(workshop: Workshop, edits: readonly Edit[]): Promise<Workshop> {
  const byFile = new Map<string, (source: string) => string>();
  for (const [file, text, instead] of [WITHOUT_REMOVALS, ...edits]) {
    const before = byFile.get(file) ?? ((source: string) => source);
    byFile.set(file, (source) => edited(text, instead)(before(source)));
  }
  return workshop.variant(byFile);
}

describeWithRedis(
  { describe },
  'histories of three processes on a cluster of three masters and three replicas',
  () => {
    const rounds = Number(process.env['LANE_CACHE_ROUNDS'] ?? 1);
    const seed = Number(process.env['LANE_CACHE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    let workshop: Workshop;
    let cluster: RedisCluster;
    let disaster: WholeCluster | undefined;

    beforeAll(async () => {
      workshop = await Workshop.build();
      cluster = await RedisCluster.start(1);
    }, 60_000);

    // After a run that was given up as well.
    afterEach(async () => {
      if (disaster !== undefined) {
        const { history, faults, counts, deeds, refused } = disaster;
        const { reads, published } = history;
        const said = { seed, reads: reads.length, published, ...faults, ...counts, deeds, refused };
        process.stdout.write(`${JSON.stringify(said)}\n`);
      }
      await disaster?.dispose();
      disaster = undefined;
    });

    afterAll(async () => {
      await workshop.dispose();
      await cluster.dispose();
    });

    it(
      'serve nothing that an invalidation has named, while nodes fail and slots move',
      async () => {
        const run = new WholeCluster(workshop, cluster, seededRandom(seed));
        disaster = run;
        await run.run(rounds * 3_000);
        const { history, wrong, counts } = run;
        const violations = history.violations.slice(0, 5);
        expect({ seed, violations, wrong }).toEqual({ seed, violations: [], wrong: [] });
        expect(history.reads.length).toBeGreaterThan(100);
        expect(counts.l4).toBeGreaterThan(0);
      },
      180_000 + rounds * 12_000,
    );

    /** How many stale reads there were. */
    const staleReads = async (edits: readonly Edit[], kind: typeof CalmCluster): Promise<number> => {
      const changed = await without(workshop, edits);
      const run = new kind(changed, cluster, seededRandom(seed));
      try {
        await run.run(1_000);
        return run.history.violations.length;
      } finally {
        await run.dispose();
        await changed.dispose();
      }
    };

    it('need no removal of entries, but the judgement of keys and the floors', async () => {
      const names = Object.keys(WITHOUT);
      const [alone, ...others] = await Promise.all([
        staleReads([], CalmCluster),
        ...Object.values(WITHOUT).map((edits) => staleReads(edits, BrokenCluster)),
      ]);
      expect(alone).toBe(0);
      for (const [at, stale] of others.entries()) expect([names[at], stale]).not.toEqual([names[at], 0]);
    }, 120_000);
  },
  'own',
);
