import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from 'redis';
import { seededRandom } from '../../lib/testing/seeded-random.js';
import { type Child, Workshop } from '../support/child-process.js';
import { History, type Life } from '../support/history.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';
import { TcpProxy, type Weather } from '../support/tcp-proxy.js';

/** The clock that all processes of a machine share. */
const now = (): number => Number(process.hrtime.bigint()) / 1e6;

/** A process under load. What it reads, says and notices goes out as lines of JSON. */
const INSTANCE = `
import { CacheManager } from './lib/index.js';
import { seededRandom } from './lib/testing/seeded-random.js';
const [url, prefix, directory, seed, trust] = process.argv.slice(2);
const now = () => Number(process.hrtime.bigint()) / 1e6;
const tell = (...line) => console.log(JSON.stringify(line));
const random = seededRandom(Number(seed));
const pick = (some) => some[Math.floor(random() * some.length)];
const KEYS = Array.from({ length: 30 }, (_, number) => 'k' + number);
const TAGS = new Map(KEYS.map((key, n) => [key, n % 3 === 0 ? ['t' + (n % 4), 'u'] : ['t' + (n % 4)]]));
tell('born', now());
const cache = await CacheManager.fromSettings({
  directory: directory === '' ? false : directory,
  distributed: { url, prefix, trustPersistence: trust === 'true' },
  storage: { minFreeBytes: 0, sweepEvery: false },
});
let turned = 0;
const turn = (state) => tell('turned', ++turned && now(), state === 'on');
cache.events.on('tier', ({ tier, state }) => tier === 'l4' && turn(state));
turn(cache.getMetrics().l4.state);
let reads = [];
let counted = { l1: 0, l3: 0, l4: 0, computed: 0 };
const report = () => {
  tell('read', reads.splice(0));
  const { l1, l3, l4, computed } = cache.getMetrics();
  const counts = { l1: l1.hits, l3: l3.hits, l4: l4.hits, computed };
  tell('counts', Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, count - counted[name]])));
  counted = counts;
};
setInterval(report, 40);
let tickedAt = now();
setInterval(() => {
  const at = now();
  if (at - tickedAt > 60) tell('held', tickedAt, at);
  tickedAt = at;
}, 10);
const read = async () => {
  const key = pick(KEYS);
  const calledAt = now();
  const compute = async () => {
    const startedAt = now();
    await new Promise((resolve) => setTimeout(resolve, random() * 8));
    return startedAt;
  };
  const options = { tags: TAGS.get(key) };
  const value = random() < 0.1 ? await cache.get(key) : await cache.getOrSet(key, compute, options);
  if (value !== undefined) reads.push([key, calledAt, value]);
};
const say = async () => {
  const key = pick(KEYS), tag = pick(['t0', 't1', 't2', 't3', 'u']);
  const tagged = KEYS.filter((one) => TAGS.get(one).includes(tag));
  const wide = [
    [tagged, () => cache.invalidateByTag(tag)], [tagged, () => cache.invalidateByPattern(tag + ':*')],
    [tagged, () => cache.expireByTag(tag)],
  ];
  const all = [[KEYS, () => cache.clearAll()]];
  const calledAt = now();
  const narrow = [
    [[key], () => cache.invalidate(key)], [[key], () => cache.set(key, calledAt, { tags: TAGS.get(key) })],
    [[key], () => cache.expire(key)],
  ];
  const [keys, call] = pick(random() < 0.05 ? (random() < 0.15 ? all : wide) : narrow);
  const turnedBefore = turned;
  const wasOn = cache.getMetrics().l4.state === 'on';
  const hasResolved = await call().then(() => true, (error) => {
    if (error.code !== 'INVALIDATION_PENDING') tell('wrong', String(error));
    return false;
  });
  const endedAt = now();
  const isTold = hasResolved && wasOn && turned === turnedBefore && endedAt - calledAt < 200;
  tell('said', { keys, calledAt, endedAt, hasResolved, isTold });
};
process.on('unhandledRejection', (error) => tell('wrong', String(error)));
let isOver = false;
process.stdin.once('data', () => (isOver = true));
await Promise.all(Array.from({ length: 8 }, async () => {
  while (!isOver) {
    await (random() < 0.02 ? say() : read());
    await new Promise((resolve) => setTimeout(resolve, random() * 4));
  }
}));
report();
await cache.close();
process.exit();
`;

type Line =
  | readonly ['born', number]
  | readonly ['turned', number, boolean]
  | readonly ['read', readonly (readonly [string, number, number])[]]
  | readonly ['said', Omit<Parameters<History['say']>[0], 'instance' | 'life'>]
  | readonly ['held', number, number]
  | readonly ['wrong', string]
  | readonly ['counts', Readonly<Record<'l1' | 'l3' | 'l4' | 'computed', number>>];

interface Instance {
  readonly proxy: TcpProxy;
  readonly directory: string;
  child: Child;
  life: number;
  /** Until here it is in the hands of a fault. */
  busyUntil: number;
  listening: Promise<void>;
}

/** What a server's restart leaves of its data, and whether instances rely on it. */
const SERVERS = {
  'loses all when it restarts': { flags: [], trust: false },
  'keeps all when it restarts': { flags: ['--appendonly', 'yes', '--appendfsync', 'always'], trust: false },
  'keeps all, and is trusted': { flags: ['--appendonly', 'yes', '--appendfsync', 'always'], trust: true },
} as const;

/** Three processes behind a proxy each, and what goes wrong around them. */
class Disaster {
  readonly history = new History(new Set([0, 2]));
  readonly wrong: string[] = [];
  readonly counts = { l1: 0, l3: 0, l4: 0, computed: 0 };
  readonly faults = { weather: 0, frozen: 0, killed: 0, meddled: 0, servers: 0 };
  private readonly instances: Instance[] = [];
  private readonly prefix = randomUUID();

  constructor(
    private readonly workshop: Workshop,
    private readonly server: RedisServer,
    private readonly random: () => number,
    private readonly trust: boolean,
  ) {}

  async run(ms: number): Promise<void> {
    for (const isDurable of [true, false, true]) {
      const directory = isDurable ? await mkdtemp(join(tmpdir(), 'lane-cache-history-')) : '';
      const proxy = await TcpProxy.before(this.server.port);
      const at = { proxy, directory, life: 0, busyUntil: 0, listening: Promise.resolve() };
      this.instances.push({ ...at, child: await this.launch(proxy, directory) });
    }
    for (const index of this.instances.keys()) this.listen(index);
    const watching = this.watch();
    const until = now() + ms;
    // a machine that is busy with other things takes longer to show something
    while (now() < until || !this.isTelling) {
      await this.sleep(100 + this.random() * 500);
      await this.strike();
    }
    await this.calm();
    watching.stop();
    await Promise.all(this.instances.map((instance) => this.end(instance)));
  }

  private get isTelling(): boolean {
    return this.history.reads.length > 500 && this.counts.l4 > 0;
  }

  async dispose(): Promise<void> {
    for (const { proxy, directory } of this.instances) {
      await proxy.close();
      if (directory !== '') await rm(directory, { recursive: true, force: true });
    }
  }

  private launch(proxy: TcpProxy, directory: string): Promise<Child> {
    const seed = String(Math.floor(this.random() * 2 ** 31));
    return this.workshop.run(INSTANCE, [proxy.url, this.prefix, directory, seed, String(this.trust)]);
  }

  private async strike(): Promise<void> {
    const index = Math.floor(this.random() * this.instances.length);
    const instance = this.instances[index];
    if (instance === undefined || instance.busyUntil > now()) return;
    const dice = this.random();
    if (dice < 0.55) this.spoil(instance, index);
    else if (dice < 0.75) this.freeze(instance, index);
    else if (dice < 0.85) await this.kill(instance, index);
    else if (dice < 0.95) await this.meddle();
    else await this.restartServer();
  }

  private spoil(instance: Instance, index: number): void {
    const delays = [
      { delayMs: 20 },
      { delayMs: 120 },
      { delayMs: 100, of: 'odd' },
      { delayMs: 100, of: 'even' },
    ] as const;
    const weathers: readonly (Weather | 'cut')[] = ['cut', 'black-hole', 'garbage', ...delays];
    const weather = weathers[Math.floor(this.random() * weathers.length)] ?? 'cut';
    this.faults.weather++;
    if (weather === 'cut') instance.proxy.cut();
    else instance.proxy.weather = weather;
    this.disturb(instance, index, () => (instance.proxy.weather = 'fair'));
  }

  private freeze(instance: Instance, index: number): void {
    const { child } = instance;
    this.faults.frozen++;
    child.signal('SIGSTOP');
    this.disturb(instance, index, () => child.signal('SIGCONT'));
  }

  private disturb(instance: Instance, index: number, end: () => void): void {
    const from = now();
    const ms = this.random() * 1_500;
    instance.busyUntil = from + ms + 50;
    setTimeout(() => {
      end();
      this.history.spoil(index, from, now());
    }, ms);
  }

  private async kill(instance: Instance, index: number): Promise<void> {
    this.faults.killed++;
    instance.child.signal('SIGKILL');
    await instance.listening;
    instance.child = await this.launch(instance.proxy, instance.directory);
    instance.life++;
    this.listen(index);
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
    this.faults.meddled++;
    await admin.sendCommand([...(deeds[Math.floor(this.random() * deeds.length)] ?? [])]).catch(() => undefined);
    admin.destroy();
  }

  private async restartServer(): Promise<void> {
    const from = now();
    this.faults.servers++;
    await this.server.stop();
    await this.sleep(this.random() * 800);
    await this.server.boot();
    for (const index of this.instances.keys()) this.history.spoil(index, from, now());
  }

  /** What holds up this process holds up the proxies, and what holds up the server holds up all. */
  private watch(): { stop(): void } {
    let at = now();
    const timer = setInterval(() => {
      const from = at;
      at = now();
      if (at - from > 60) for (const index of this.instances.keys()) this.history.spoil(index, from, at);
    }, 10);
    return { stop: () => clearInterval(timer) };
  }

  private async calm(): Promise<void> {
    for (const { busyUntil } of this.instances) await this.sleep(Math.max(0, busyUntil - now()));
    // long enough for all to come back, and to be asked afterwards
    await this.sleep(2_500);
  }

  private async end(instance: Instance): Promise<void> {
    instance.child.say('end');
    await instance.listening;
  }

  private listen(index: number): void {
    const instance = this.instances[index];
    if (instance === undefined) return;
    const { child, life } = instance;
    instance.listening = (async () => {
      for (;;) {
        const line = await child.line().catch(() => undefined);
        if (line === undefined) return;
        this.take({ instance: index, life }, line);
      }
    })();
  }

  private take(life: Life, text: string): void {
    let line: Line;
    try {
      line = JSON.parse(text) as Line;
    } catch {
      // cut off by SIGKILL
      return;
    }
    const { history } = this;
    if (line[0] === 'born') history.born(life, line[1]);
    else if (line[0] === 'turned') history.turned(life, line[1], line[2]);
    else if (line[0] === 'read') {
      for (const [key, calledAt, value] of line[1]) history.reads.push({ ...life, key, calledAt, value });
    } else if (line[0] === 'said') history.say({ ...life, ...line[1] });
    else if (line[0] === 'held') history.spoil(life.instance, line[1], line[2]);
    else if (line[0] === 'wrong') this.wrong.push(line[1]);
    else for (const name of ['l1', 'l3', 'l4', 'computed'] as const) this.counts[name] += line[1][name];
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
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
        const disaster = new Disaster(workshop, server, seededRandom(seed), trust);
        try {
          await disaster.run(rounds * 1_000);
          const { history, wrong, faults, counts } = disaster;
          process.stdout.write(
            `${JSON.stringify({ seed, reads: history.reads.length, said: history.said, ...faults, ...counts })}\n`,
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
      60_000 + rounds * 4_000,
    );
  },
  'own',
);
