import { describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { Jobs } from '../support/jobs.js';
import { ModelNetwork } from '../support/model-network.js';
import { ModelRedis } from '../support/model-redis.js';
import { COMMAND_MS, MAX_STALENESS_MS, SharedInstance } from '../model/shared-log/instance.js';

const COMPUTE_MS = 40;
const STEP_MS = 10;

/** An instance on a network that carries everything at once, until something is done to it. */
class Bench {
  readonly clock = new FakeClock();
  readonly server = new ModelRedis(() => this.clock.now());
  readonly network = new ModelNetwork(this.server, this.clock);
  readonly told: string[] = [];
  /** No message arrives any more. */
  isFrozen = false;
  private instance: SharedInstance | undefined;

  get app(): SharedInstance['app'] {
    if (this.instance === undefined) throw new Error('not started');
    return this.instance.app;
  }

  async start(onDisconnect: 'serve' | 'bypass' = 'serve'): Promise<this> {
    const { clock, network } = this;
    const life = {
      ...{ instance: 0, bornAt: 0, isDurable: false },
      connectedAt: undefined,
      hasConnected: false,
      spoiltMs: 0,
    };
    const policy = { onDisconnect, trustPersistence: false, coalesce: 'cluster' } as const;
    this.instance = new SharedInstance(life, { clock, network, jobs: new Jobs(), disk: undefined, ...policy });
    this.app.events.on('tier', ({ tier, state }) => void this.told.push(`${tier} ${state}`));
    await this.pass(100);
    return this;
  }

  end(): void {
    this.instance?.kill();
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= STEP_MS) {
      await this.clock.advance(`${STEP_MS}ms`);
      for (let step = this.next; step !== undefined; step = this.next) {
        step();
        await nextTurn();
      }
    }
  }

  /** How long a cold key took, in ms. */
  async ask(key: string): Promise<number> {
    const askedAt = this.clock.monotonic();
    const state = { answeredAt: Infinity };
    const compute = (): Promise<string> =>
      new Promise((resolve) => this.clock.schedule(COMPUTE_MS, () => resolve('computed')));
    const answer = this.app.manager().getOrSet(key, compute);
    void answer.then(() => (state.answeredAt = this.clock.monotonic()));
    while (state.answeredAt === Infinity && this.clock.monotonic() - askedAt < 60_000) await this.pass(STEP_MS);
    if ((await answer) !== 'computed') throw new Error('something else was answered');
    return state.answeredAt - askedAt;
  }

  private get next(): (() => void) | undefined {
    return this.isFrozen ? undefined : this.network.steps[0];
  }
}

const FAULTS: Readonly<
  Record<string, { readonly begin: (bench: Bench) => void; readonly end: (bench: Bench) => void }>
> = {
  'is frozen': { begin: (bench) => (bench.isFrozen = true), end: (bench) => (bench.isFrozen = false) },
  'is behind a black hole': {
    begin: ({ network }) => (network.isHole = true),
    end: ({ network }) => (network.isHole = false),
  },
  'is stopped': {
    begin: ({ network }) => {
      network.isDown = true;
      network.cut();
    },
    end: ({ network }) => (network.isDown = false),
  },
};

describe('a server that does not answer', () => {
  for (const [what, { begin, end }] of Object.entries(FAULTS)) {
    it(`${what}: every call is answered within its computation and one deadline, and it is told once`, async () => {
      const bench = await new Bench().start();
      await bench.ask('before');
      expect(bench.told).toEqual(['l4 on']);
      begin(bench);
      for (let n = 0; n < 12; n++) {
        // a look-up that is not answered is the last for a while; a turn is not asked for behind it
        expect(await bench.ask(`during ${n}`)).toBeLessThanOrEqual(COMPUTE_MS + COMMAND_MS + 2 * STEP_MS);
        await bench.pass(150);
      }
      expect(bench.told).toEqual(['l4 on', 'l4 off']);
      end(bench);
      await bench.pass(8_000);
      expect(bench.told).toEqual(['l4 on', 'l4 off', 'l4 on']);
      expect(await bench.ask('after')).toBeLessThanOrEqual(COMPUTE_MS + 2 * STEP_MS);
      bench.end();
    });
  }

  it('is frozen: it is asked once, and not again before it has answered', async () => {
    const bench = await new Bench().start();
    bench.isFrozen = true;
    expect(await bench.ask('first')).toBeGreaterThanOrEqual(COMMAND_MS);
    for (const key of ['second', 'third']) expect(await bench.ask(key)).toBeLessThanOrEqual(COMPUTE_MS + 2 * STEP_MS);
    bench.end();
  });

  it('is full: every call is answered as if there were none', async () => {
    const bench = await new Bench().start();
    bench.server.isFull = true;
    for (let n = 0; n < 5; n++) {
      expect(await bench.ask(`during ${n}`)).toBeLessThanOrEqual(COMPUTE_MS + 2 * STEP_MS);
      await bench.pass(150);
    }
    expect(bench.told).toEqual(['l4 on']);
    bench.end();
  });

  it('no longer answers commands, while the other connection stands: it is treated as down', async () => {
    const bench = await new Bench().start();
    // only what is sent now is lost, and nothing comes behind it on its connection
    bench.network.isHole = true;
    void bench.app.manager().get('k');
    await nextTurn();
    bench.network.isHole = false;
    for (let n = 0; n < 8; n++) {
      await bench.ask(`during ${n}`);
      await bench.pass(150);
    }
    await bench.pass(2_000);
    expect(bench.told).toEqual(['l4 on', 'l4 off', 'l4 on']);
    expect(await bench.ask('after')).toBeLessThanOrEqual(COMPUTE_MS + 2 * STEP_MS);
    bench.end();
  });

  it('is asked no more than so much at a time, and takes no more than so much', async () => {
    const bench = await new Bench().start();
    const cache = bench.app.manager();
    bench.isFrozen = true;
    const looks = Array.from({ length: 10_000 }, (_, n) => cache.get(`k${n}`));
    await nextTurn();
    // beyond, nothing is asked, and nobody waits
    expect(await cache.get('one more')).toBeUndefined();
    const large = Buffer.alloc(8 * 1024 ** 2).toString('latin1');
    const values = Array.from({ length: 9 }, (_, n) => cache.getOrSet(`large ${n}`, async () => large));
    await bench.pass(300);
    await Promise.all(values);
    expect(cache.getMetrics().refused.backlog).toBeGreaterThan(0);
    await bench.pass(2_000);
    await Promise.all(looks);
    bench.isFrozen = false;
    await bench.pass(8_000);
    // whoever waited has been let go of: there is room again
    const { misses } = cache.getMetrics().l4;
    const found = cache.get('k1');
    await bench.pass(100);
    expect(await found).toBeUndefined();
    expect(cache.getMetrics().l4).toMatchObject({ state: 'on', misses: misses + 1 });
    bench.end();
  });

  it('what was held before is served for as long as an instance may be cut off, and no longer', async () => {
    const bench = await new Bench().start();
    const cache = bench.app.manager();
    await bench.ask('k');
    bench.network.isDown = true;
    bench.network.cut();
    await bench.pass(MAX_STALENESS_MS - 500);
    expect(await cache.get('k')).toBe('computed');
    await bench.pass(1_000);
    expect(await cache.get('k')).toBeUndefined();
    expect(cache.getMetrics().bypassed['stale-distributed']).toBe(1);
    bench.end();
  });

  it('where nothing may be served without it, nothing is from the moment it is gone', async () => {
    const bench = await new Bench().start('bypass');
    const cache = bench.app.manager();
    await bench.ask('k');
    expect(await cache.get('k')).toBe('computed');
    bench.network.cut();
    await nextTurn();
    expect(await cache.get('k')).toBeUndefined();
    await bench.pass(2_000);
    // nobody has said anything about it
    expect(bench.told).toEqual(['l4 on', 'l4 off', 'l4 on']);
    const again = cache.get('k');
    await bench.pass(100);
    expect(await again).toBe('computed');
    bench.end();
  });
});
