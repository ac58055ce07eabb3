import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CacheManager } from '../../lib/index.js';
import { seededRandom } from '../../lib/testing/seeded-random.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';
import { TcpProxy, type Weather } from '../support/tcp-proxy.js';

/** Enough of them that most are left alone for longer than the bound. */
const KEYS = Array.from({ length: 30 }, (_, number) => `k${number}`);
const TAGS = new Map(KEYS.map((key, number) => [key, number % 3 === 0 ? [`t${number % 4}`, 'u'] : [`t${number % 4}`]]));
const ALL_TAGS = ['t0', 't1', 't2', 't3', 'u'];
/** While connected, another instance may serve what was invalidated for so long. */
const BOUND_MS = 1_000;
/** Below the deadline of a command. */
const ANSWERED_WITHIN_MS = 200;

/** Something was said not to count any more. Steps order everything that happens in this test. */
interface Invalidation {
  readonly by: number;
  readonly keys: readonly string[];
  readonly calledAt: number;
  /** When the call had resolved, in steps and in ms. */
  done:
    | {
        readonly step: number;
        readonly at: number;
        readonly life: number;
        readonly isAnswered: boolean;
        readonly isShared: boolean;
      }
    | undefined;
}

interface Instance {
  readonly proxy: TcpProxy;
  readonly directory: string | false;
  cache: CacheManager;
  /** Counts restarts; between two lives there is no cache to ask. */
  life: number;
  isClosing: boolean;
  /** When its connection was last anything but good. */
  spoiltAt: number;
  /** Since when it has been connected without a break; undefined while it is not. */
  connected: { readonly step: number; readonly at: number } | undefined;
}

/** Three instances behind a proxy each, a load, faults, and a check of every answer. */
class History {
  private step = 0;
  private readonly said: Invalidation[] = [];
  private readonly instances: Instance[] = [];
  readonly violations: string[] = [];
  readonly answers = { computed: 0, served: 0 };

  constructor(
    private readonly server: RedisServer,
    private readonly prefix: string,
    private readonly random: () => number,
  ) {}

  async begin(): Promise<void> {
    for (const isDurable of [true, false, true]) {
      const directory = isDurable ? await mkdtemp(join(tmpdir(), 'lane-cache-history-')) : false;
      const proxy = await TcpProxy.before(this.server.port);
      const state = { connected: undefined, life: 0, isClosing: false, spoiltAt: 0 };
      this.instances.push({ proxy, directory, ...state, cache: await this.open(proxy, directory) });
    }
    for (const instance of this.instances) this.watch(instance);
  }

  async end(): Promise<void> {
    for (const { cache, proxy, directory } of this.instances) {
      await cache.close();
      await proxy.close();
      if (directory !== false) await rm(directory, { recursive: true, force: true });
    }
  }

  /** One of the things that happen. Never rejects. */
  async act(): Promise<void> {
    const dice = this.random();
    const index = Math.floor(this.random() * this.instances.length);
    const instance = this.instances[index];
    if (instance === undefined || instance.isClosing) return;
    if (dice < 0.9) await this.read(instance, index);
    else if (dice < 0.99) await this.invalidate(instance, index);
    else if (dice < 0.998) this.spoil(instance);
    else if (dice < 0.9995) await this.restart(instance);
    else await this.restartServer();
  }

  private pick<T>(some: readonly T[]): T | undefined {
    return some[Math.floor(this.random() * some.length)];
  }

  private async read(instance: Instance, index: number): Promise<void> {
    const key = this.pick(KEYS) ?? '';
    const calledAt = ++this.step;
    const { connected } = instance;
    const now = performance.now();
    const due = this.said.filter(({ done, by, keys }) => {
      if (done === undefined || done.step > calledAt || !keys.includes(key)) return false;
      // what was neither told to the server nor kept on disk dies with the process; its call was rejected
      if (by === index && (done.isAnswered || done.life === instance.life)) return true;
      if (!done.isShared || connected === undefined) return false;
      return connected.step > done.step || now - Math.max(done.at, connected.at) > BOUND_MS;
    });
    let isServed = true;
    const compute = async (): Promise<number> => {
      isServed = false;
      const startedAt = ++this.step;
      await new Promise((resolve) => setTimeout(resolve, this.random() * 8));
      return startedAt;
    };
    const value = await instance.cache.getOrSet(key, compute, { tags: TAGS.get(key) ?? [] });
    this.answers[isServed ? 'served' : 'computed']++;
    for (const { calledAt: namedAt, by, done } of due) {
      if (value >= namedAt) continue;
      this.violations.push(
        `${index} read ${key} at ${calledAt}: value of ${value}, named by ${by} at ${namedAt}: ${JSON.stringify({ now: instance.life, ...done })}`,
      );
    }
  }

  private async invalidate(instance: Instance, by: number): Promise<void> {
    const { cache, life } = instance;
    const startedAt = performance.now();
    const key = this.pick(KEYS) ?? '';
    const tag = this.pick(ALL_TAGS) ?? 'u';
    const tagged = KEYS.filter((one) => TAGS.get(one)?.includes(tag));
    const calledAt = ++this.step;
    const one = [[key], () => cache.invalidate(key)] as const;
    const set = [[key], () => cache.set(key, calledAt, { tags: TAGS.get(key) ?? [] })] as const;
    const byTag = [tagged, () => cache.invalidateByTag(tag)] as const;
    const byPattern = [tagged, () => cache.invalidateByPattern(`${tag}:*`)] as const;
    const all = [KEYS, () => cache.clearAll()] as const;
    const [keys, call] =
      this.pick<readonly [readonly string[], () => Promise<unknown>]>([
        ...[one, one, one, one, one, set, set, set, set],
        ...(this.random() < 0.3 ? [byTag, byPattern, all] : []),
      ]) ?? all;
    const invalidation: Invalidation = { by, keys, calledAt, done: undefined };
    this.said.push(invalidation);
    const isAnswered = await call().then(
      () => true,
      () => false,
    );
    if (instance.isClosing || instance.life !== life) return;
    const at = performance.now();
    // one that took longer may be kept on disk, and told later
    const isShared = isAnswered && at - startedAt < ANSWERED_WITHIN_MS && instance.spoiltAt < startedAt;
    invalidation.done = {
      step: ++this.step,
      at,
      life,
      isAnswered,
      isShared: isShared && instance.connected !== undefined,
    };
  }

  private spoil(instance: Instance): void {
    const { proxy } = instance;
    instance.spoiltAt = Infinity;
    const weather = this.pick<Weather | 'cut'>(['cut', 'black-hole', { delayMs: 20 }, { delayMs: 120 }, 'fair']);
    if (weather === 'cut') proxy.cut();
    else proxy.weather = weather ?? 'fair';
    setTimeout(() => {
      proxy.weather = 'fair';
      instance.spoiltAt = performance.now();
    }, this.random() * 1_500);
  }

  private async restart(instance: Instance): Promise<void> {
    const { proxy, directory, cache } = instance;
    instance.isClosing = true;
    instance.connected = undefined;
    await cache.close();
    // what it said itself holds after a restart too, where there is a directory; without, there is nothing left
    instance.cache = await this.open(proxy, directory);
    this.watch(instance);
    instance.life++;
    instance.isClosing = false;
  }

  private async restartServer(): Promise<void> {
    for (const instance of this.instances) instance.spoiltAt = Infinity;
    await this.server.stop();
    await this.server.boot();
    for (const instance of this.instances) instance.spoiltAt = performance.now();
  }

  private open(proxy: TcpProxy, directory: string | false): Promise<CacheManager> {
    const distributed = { url: proxy.url, prefix: this.prefix } as const;
    return CacheManager.fromSettings({ directory, distributed, storage: { minFreeBytes: 0, sweepEvery: false } });
  }

  private watch(instance: Instance): void {
    const { cache } = instance;
    const since = (): { readonly step: number; readonly at: number } => ({ step: ++this.step, at: performance.now() });
    if (cache.getMetrics().l4.state === 'on') instance.connected = since();
    cache.events.on('tier', ({ tier, state }) => {
      if (tier === 'l4' && instance.cache === cache) instance.connected = state === 'on' ? since() : undefined;
    });
  }
}

describeWithRedis(
  { describe },
  'histories of three instances, cut off, restarted and spoilt at random',
  () => {
    let server: RedisServer;

    beforeAll(async () => {
      server = await RedisServer.start();
    });

    afterAll(() => server.dispose());

    it('serve nothing that an invalidation has named, once it has resolved', async () => {
      const seed = Number(process.env['HISTORY_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
      const ms = Number(process.env['HISTORY_MS'] ?? 8_000);
      const history = new History(server, randomUUID(), seededRandom(seed));
      await history.begin();
      try {
        const until = performance.now() + ms;
        const load = Array.from({ length: 12 }, async () => {
          while (performance.now() < until) {
            await history.act();
            await new Promise(setImmediate);
          }
        });
        await Promise.all(load);
        expect({ seed, violations: history.violations }).toEqual({ seed, violations: [] });
        expect(history.answers.served).toBeGreaterThan(100);
      } finally {
        await history.end();
      }
    }, 120_000);
  },
  'own',
);
