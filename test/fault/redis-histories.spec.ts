import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from 'redis';
import { seededRandom } from '../../lib/testing/seeded-random.js';
import { Workshop } from '../support/child-process.js';
import { Disaster } from '../support/disaster.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';
import type { TcpProxy } from '../support/tcp-proxy.js';

/** What a server's restart leaves of its data, and whether instances rely on it. */
const SERVERS = {
  'loses all when it restarts': { flags: [], trust: false },
  'keeps all when it restarts': { flags: ['--appendonly', 'yes', '--appendfsync', 'always'], trust: false },
  'keeps all, and is trusted': { flags: ['--appendonly', 'yes', '--appendfsync', 'always'], trust: true },
} as const;

/** One server, with all that can happen to it. */
class OneServer extends Disaster {
  constructor(
    workshop: Workshop,
    private readonly server: RedisServer,
    random: () => number,
    trust: boolean,
  ) {
    super(workshop, random, trust);
  }

  protected override get ports(): readonly number[] {
    return [this.server.port];
  }

  protected override addressOf(_index: number, [proxy]: readonly TcpProxy[]): object {
    return { url: proxy?.url };
  }

  protected override strikeServers(): Promise<void> {
    return this.random() < 0.67 ? this.meddle() : this.restartServer();
  }

  /** Somebody does to the server what nobody should. */
  private async meddle(): Promise<void> {
    const admin = createClient({ url: this.server.url });
    admin.on('error', () => undefined);
    await admin.connect();
    const log = ['meta', 'stream', 'keys', 'tags', 'patterns', 'landed'].map((name) => `{${this.prefix}}:${name}`);
    const deeds: readonly (readonly string[])[] = [
      ['FLUSHALL'],
      ['SCRIPT', 'FLUSH'],
      ['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'],
      ['XTRIM', log[1] ?? '', 'MAXLEN', '1'],
      ...log.map((name) => ['DEL', name]),
      ...log.map((name) => ['SET', name, 'something else']),
    ];
    this.faults.servers++;
    await admin.sendCommand([...(deeds[Math.floor(this.random() * deeds.length)] ?? [])]).catch(() => undefined);
    admin.destroy();
  }

  private async restartServer(): Promise<void> {
    await this.spoilingAll(async () => {
      await this.server.stop();
      await this.sleep(this.random() * 800);
      await this.server.boot();
    });
  }
}

describeWithRedis(
  { describe },
  'histories of three processes: cut off, frozen, killed, with a server that restarts',
  () => {
    const rounds = Number(process.env['LANE_CACHE_ROUNDS'] ?? 1);
    const seed = Number(process.env['LANE_CACHE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    let workshop: Workshop;

    beforeAll(async () => {
      workshop = await Workshop.build();
    }, 60_000);

    afterAll(() => workshop.dispose());

    it.each(Object.entries(SERVERS))(
      'serve nothing that an invalidation has named: a server that %s',
      async (_name, { flags, trust }) => {
        const server = await RedisServer.start(...flags);
        const disaster = new OneServer(workshop, server, seededRandom(seed), trust);
        try {
          await disaster.run(rounds * 1_000);
          const { history, wrong, faults, counts } = disaster;
          process.stdout.write(
            `${JSON.stringify({ seed, reads: history.reads.length, published: history.published, ...faults, ...counts })}\n`,
          );
          const violations = history.violations.slice(0, 5);
          expect({ seed, violations, wrong }).toEqual({ seed, violations: [], wrong: [] });
          expect(history.reads.length).toBeGreaterThan(100);
          expect(counts.l4).toBeGreaterThan(0);
        } finally {
          await disaster.dispose();
          await server.dispose();
        }
      },
      180_000 + rounds * 4_000,
    );
  },
  'own',
);
