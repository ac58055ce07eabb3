import { afterEach, describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import { COMMAND_MS, MAX_STALENESS_MS } from '../model/shared-log/instance.js';
import { COMPUTE_MS, InstanceBench, STEP_MS } from '../support/instance-bench.js';

const FAULTS: Readonly<
  Record<string, { readonly begin: (bench: InstanceBench) => void; readonly end: (bench: InstanceBench) => void }>
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

const benches: InstanceBench[] = [];

function started(onDisconnect?: 'bypass'): Promise<InstanceBench> {
  const bench = new InstanceBench();
  benches.push(bench);
  return bench.start(onDisconnect);
}

// Also where a fact fails: what has not ended keeps the process alive.
afterEach(() => {
  for (const bench of benches.splice(0)) bench.end();
});

describe('a server that does not answer', () => {
  for (const [what, { begin, end }] of Object.entries(FAULTS)) {
    it(`${what}: every call is answered within its computation and one deadline, and the state is reported once`, async () => {
      const bench = await started();
      await bench.ask('before');
      expect(bench.reported).toEqual(['l4 on']);
      begin(bench);
      for (let n = 0; n < 12; n++) {
        // a look-up that is not answered is the last for a while; a turn is not asked for behind it
        expect(await bench.ask(`during ${n}`)).toBeLessThanOrEqual(COMPUTE_MS + COMMAND_MS + 2 * STEP_MS);
        await bench.pass(150);
      }
      expect(bench.reported).toEqual(['l4 on', 'l4 off']);
      end(bench);
      await bench.pass(8_000);
      expect(bench.reported).toEqual(['l4 on', 'l4 off', 'l4 on']);
      expect(await bench.ask('after')).toBeLessThanOrEqual(COMPUTE_MS + 2 * STEP_MS);
    });
  }

  it('is frozen: it is asked once, and not again before it has answered', async () => {
    const bench = await started();
    bench.isFrozen = true;
    expect(await bench.ask('first')).toBeGreaterThanOrEqual(COMMAND_MS);
    for (const key of ['second', 'third']) expect(await bench.ask(key)).toBeLessThanOrEqual(COMPUTE_MS + 2 * STEP_MS);
  });

  it('is full: every call is answered as if there were none', async () => {
    const bench = await started();
    bench.server.isFull = true;
    for (let n = 0; n < 5; n++) {
      expect(await bench.ask(`during ${n}`)).toBeLessThanOrEqual(COMPUTE_MS + 2 * STEP_MS);
      await bench.pass(150);
    }
    expect(bench.reported).toEqual(['l4 on', 'l4 on but refused']);
  });

  it('answers commands too late: its tier is off until it answers again, and entries are not asked for', async () => {
    const bench = await started();
    const state = (): string => bench.app.manager().getMetrics().l4.state;
    bench.network.isCommandHeld = true;
    await bench.ask('late');
    expect(await bench.ask('not asked for')).toBeLessThanOrEqual(COMPUTE_MS + 2 * STEP_MS);
    // Whether the answer is only large is known when the other connection has answered.
    await bench.pass(320);
    expect([state(), bench.reported]).toEqual(['off', ['l4 on', 'l4 off']]);
    // Heartbeats over the other connection say nothing about commands.
    await bench.pass(350);
    expect(state()).toBe('off');
    bench.network.isCommandHeld = false;
    await bench.pass(20);
    expect([state(), bench.reported]).toEqual(['on', ['l4 on', 'l4 off', 'l4 on']]);
  });

  it('no longer answers commands, while the other connection stands: it is treated as down', async () => {
    const bench = await started();
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
    expect(bench.reported).toEqual(['l4 on', 'l4 off', 'l4 on']);
    expect(await bench.ask('after')).toBeLessThanOrEqual(COMPUTE_MS + 2 * STEP_MS);
  });

  it('is asked no more than so much at a time, and takes no more than so much', async () => {
    const bench = await started();
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
    // nothing waits any more: there is room again
    const { misses } = cache.getMetrics().l4;
    const found = cache.get('k1');
    await bench.pass(100);
    expect(await found).toBeUndefined();
    expect(cache.getMetrics().l4).toMatchObject({ state: 'on', misses: misses + 1 });
  });

  it('what was held before is served for as long as an instance may be cut off, and no longer', async () => {
    const bench = await started();
    const cache = bench.app.manager();
    await bench.ask('k');
    bench.network.isDown = true;
    bench.network.cut();
    await bench.pass(MAX_STALENESS_MS - 500);
    expect(await cache.get('k')).toBe('computed');
    await bench.pass(1_000);
    expect(await cache.get('k')).toBeUndefined();
    expect(cache.getMetrics().bypassed['stale-distributed']).toBe(1);
  });

  it('where nothing may be served without it, nothing is from the moment it is gone', async () => {
    const bench = await started('bypass');
    const cache = bench.app.manager();
    await bench.ask('k');
    expect(await cache.get('k')).toBe('computed');
    bench.network.cut();
    await nextTurn();
    expect(await cache.get('k')).toBeUndefined();
    await bench.pass(2_000);
    // nobody has said anything about it
    expect(bench.reported).toEqual(['l4 on', 'l4 off', 'l4 on']);
    const again = cache.get('k');
    await bench.pass(100);
    expect(await again).toBe('computed');
  });
});
