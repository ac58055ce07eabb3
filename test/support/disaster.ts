import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Child, Workshop } from './child-process.js';
import { History, type Life } from './history.js';
import { TcpProxy, type Weather } from './tcp-proxy.js';

/** The clock that all processes of a machine share. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6;

/** A process under load. What it reads, says and notices goes out as lines of JSON. */
const INSTANCE = `
import { CacheManager } from './lib/app/cache-app.js';
import { Cluster, Redis } from 'ioredis';
import { createCluster, createSentinel } from 'redis';
import { seededRandom } from './lib/testing/seeded-random.js';
const [address, prefix, directory, seed, trust] = process.argv.slice(2);
const now = () => Number(process.hrtime.bigint()) / 1e6;
const tell = (...line) => console.log(JSON.stringify(line));
const random = seededRandom(Number(seed));
const pick = (some) => some[Math.floor(random() * some.length)];
const KEYS = Array.from({ length: 30 }, (_, number) => 'k' + number);
const TAGS = new Map(KEYS.map((key, n) => [key, n % 3 === 0 ? ['t' + (n % 4), 'u'] : ['t' + (n % 4)]]));
const { url, kind, nodes, map } = JSON.parse(address);
const CLIENTS = {
  redis: () => createCluster({ rootNodes: nodes.map((socket) => ({ socket })), nodeAddressMap: map }),
  ioredis: () => new Cluster(nodes, { lazyConnect: true, natMap: map }),
  'redis, sentinel': () => createSentinel({ name: 'the-log', sentinelRootNodes: nodes, nodeAddressMap: map }),
  'ioredis, sentinel': () => new Redis({ name: 'the-log', sentinels: nodes, natMap: map, lazyConnect: true }),
};
const client = url === undefined && CLIENTS[kind]();
const server = url === undefined ? { client } : { url };
tell('started', now());
const cache = await CacheManager.fromSettings({
  directory: directory === '' ? false : directory,
  distributed: { ...server, prefix, trustPersistence: trust === 'true' },
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
  const isCertain = hasResolved && wasOn && turned === turnedBefore && endedAt - calledAt < 200;
  tell('published', { keys, calledAt, endedAt, hasResolved, isCertain });
};
process.on('unhandledRejection', (error) => tell('wrong', String(error)));
let isOver = false;
process.stdin.once('data', () => (isOver = true));
await Promise.all(Array.from({ length: 8 }, async () => {
  while (!isOver) {
    await (random() < 0.02 ? say() : read());
    await new Promise((resolve) => setTimeout(resolve, random() * 10));
  }
}));
report();
await cache.close();
process.exit();
`;

/** How much longer than planned the processes may need to show something. */
const PATIENCE_MS = 60_000;

type Line =
  | readonly ['started', number]
  | readonly ['turned', number, boolean]
  | readonly ['read', readonly (readonly [string, number, number])[]]
  | readonly ['published', Omit<Parameters<History['publish']>[0], 'instance' | 'life'>]
  | readonly ['held', number, number]
  | readonly ['wrong', string]
  | readonly ['counts', Readonly<Record<'l1' | 'l3' | 'l4' | 'computed', number>>];

export interface Instance {
  /** One for each server. */
  readonly proxies: readonly TcpProxy[];
  readonly directory: string;
  child: Child;
  life: number;
  /** Until here it is in the hands of a fault. */
  busyUntil: number;
  listening: Promise<void>;
}

/** Three processes behind proxies, and what goes wrong around them. */
export abstract class Disaster {
  readonly history = new History(new Set([0, 2]));
  readonly wrong: string[] = [];
  readonly counts = { l1: 0, l3: 0, l4: 0, computed: 0 };
  readonly faults = { weather: 0, frozen: 0, killed: 0, servers: 0 };
  protected readonly prefix = randomUUID();
  private readonly instances: Instance[] = [];

  constructor(
    private readonly workshop: Workshop,
    protected readonly random: () => number,
    private readonly trust: boolean,
  ) {}

  /** How many of the faults are of servers. */
  protected readonly shareOfServers: number = 0.15;

  /** The ports of all servers. */
  protected abstract get ports(): readonly number[];

  /** How the program of an instance finds the servers behind its proxies. */
  protected abstract addressOf(index: number, proxies: readonly TcpProxy[]): object;

  /** Something happens to the servers. */
  protected abstract strikeServers(): Promise<void>;

  async run(ms: number): Promise<void> {
    for (const isDurable of [true, false, true]) {
      const directory = isDurable ? await mkdtemp(join(tmpdir(), 'lane-cache-history-')) : '';
      const proxies = await Promise.all(this.ports.map((port) => TcpProxy.before(port)));
      const at = { proxies, directory, life: 0, busyUntil: 0, listening: Promise.resolve() };
      this.instances.push({ ...at, child: await this.launch(this.instances.length, at) });
    }
    for (const index of this.instances.keys()) this.listen(index);
    const watching = this.watch();
    const until = now() + ms;
    // a machine that is busy with other things takes longer to show something
    try {
      while (now() < until || !this.isTelling) {
        if (now() > until + PATIENCE_MS)
          throw new Error(`Too little was seen to judge: ${JSON.stringify(this.counts)}`);
        await this.sleep(100 + this.random() * 500);
        await this.strike();
      }
      await this.calm();
    } finally {
      watching.stop();
    }
    await Promise.all(this.instances.map((instance) => this.end(instance)));
  }

  /** Whether what was seen so far is enough to judge by. */
  protected get isTelling(): boolean {
    return this.history.reads.length > 500 && this.counts.l4 > 0;
  }

  async dispose(): Promise<void> {
    for (const { proxies, directory } of this.instances) {
      await Promise.all(proxies.map((proxy) => proxy.close()));
      if (directory !== '') await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    }
  }

  private launch(index: number, { proxies, directory }: Pick<Instance, 'proxies' | 'directory'>): Promise<Child> {
    const seed = String(Math.floor(this.random() * 2 ** 31));
    const address = JSON.stringify(this.addressOf(index, proxies));
    return this.workshop.run(INSTANCE, [address, this.prefix, directory, seed, String(this.trust)]);
  }

  protected async strike(): Promise<void> {
    const index = Math.floor(this.random() * this.instances.length);
    const instance = this.instances[index];
    if (instance === undefined || instance.busyUntil > now()) return;
    if (this.random() < this.shareOfServers) return this.strikeServers();
    const dice = this.random();
    if (dice < 0.65) this.spoil(instance, index);
    else if (dice < 0.88) this.freeze(instance, index);
    else await this.kill(instance, index);
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
    // Of several servers, all or one.
    const one = Math.floor(this.random() * 2 * instance.proxies.length);
    const proxies = instance.proxies.filter((_, at) => one >= instance.proxies.length || at === one);
    for (const proxy of proxies) {
      if (weather === 'cut') proxy.cut();
      else proxy.weather = weather;
    }
    this.disturb(instance, index, () => {
      for (const proxy of proxies) proxy.weather = 'fair';
    });
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
    instance.child = await this.launch(index, instance);
    instance.life++;
    this.listen(index);
  }

  /** Nobody could be expected to hear of the others while `work` went on. */
  protected async spoilingAll(work: () => Promise<void>): Promise<void> {
    const from = now();
    this.faults.servers++;
    await work();
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
    if (line[0] === 'started') history.started(life, line[1]);
    else if (line[0] === 'turned') history.turned(life, line[1], line[2]);
    else if (line[0] === 'read') {
      for (const [key, calledAt, value] of line[1]) history.reads.push({ ...life, key, calledAt, value });
    } else if (line[0] === 'published') history.publish({ ...life, ...line[1] });
    else if (line[0] === 'held') history.spoil(life.instance, line[1], line[2]);
    else if (line[0] === 'wrong') this.wrong.push(line[1]);
    else for (const name of ['l1', 'l3', 'l4', 'computed'] as const) this.counts[name] += line[1][name];
  }

  protected sleep(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }
}
