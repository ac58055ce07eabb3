import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { nextTurn } from '../../lib/clock/clock.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { OffTier } from '../../lib/tiers/off-tier.js';
import { Caches } from '../support/caches.js';
import { Workshop } from '../support/child-process.js';
import { FaultChild } from '../support/fault-child.js';
import { Jobs } from '../support/jobs.js';
import { FREE_TURNS, LaneApp, QuietLog, type SharedParts } from '../support/lane-app.js';
import { ModelDisk, ModelTier } from '../support/model-tier.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';

/** Its timers are due when it goes on, and run before anything is read from a socket. */
const READ_ALL_THE_TIME = `
globalThis.reads = [];
setInterval(() => {
  const at = Date.now();
  void cache.getOrSet('k', async () => 'computed').then((value) => reads.push([at, value]));
  void cache.get('k').then((value) => reads.push([at, value ?? 'nothing']));
}, 2);
while (reads.length < 10) await new Promise((resolve) => setTimeout(resolve, 5));
`;

/** Each computation holds the process up for longer than an instance may go unheard; how often each key was computed. */
const BUSY = `
const counts = [0, 0, 0, 0];
const compute = (key) => () => {
  counts[key]++;
  for (const until = performance.now() + 1_200; performance.now() < until;);
  return key;
};
for (let round = 0; round < 3; round++)
  await Promise.all(counts.map((_, key) => cache.getOrSet(String(key), compute(key))));
await Promise.all(counts.map((_, key) => cache.getOrSetMany([String(key)], () => new Map([[String(key), compute(key)()]]))));
return counts;
`;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describeWithRedis(
  { describe },
  'a process that was stopped while others invalidated',
  () => {
    const caches = new Caches();
    let workshop: Workshop;
    let server: RedisServer;

    beforeAll(async () => {
      server = await RedisServer.start();
      workshop = await Workshop.build();
    }, 60_000);

    afterAll(async () => {
      await workshop.dispose();
      await caches.close();
      await server.dispose();
    });

    it.each(['serve', 'bypass'] as const)(
      'serves nothing from before, from its very first read on: %s',
      async (mode) => {
        const distributed = { url: server.url, prefix: randomUUID(), onDisconnect: mode };
        const other = await caches.open({ distributed: { ...distributed, commandTimeout: '5s' } });
        const app = await FaultChild.start(workshop, { directory: false, distributed });
        await other.set('k', 'old');
        await app.ask('run', "while ((await cache.get('k')) !== 'old') await new Promise(setImmediate);");
        await app.ask('run', READ_ALL_THE_TIME);
        app.child.signal('SIGSTOP');
        // the server has answered by then, and that answer has no records
        await pause(1_000);
        await other.invalidate('k');
        // for longer than an instance may take to hear of it
        await pause(2_000);
        const goesOnAt = Date.now();
        app.child.signal('SIGCONT');
        await app.ask(
          'run',
          'for (const many = reads.length + 300; reads.length < many;) await new Promise(setImmediate);',
        );
        const reads: readonly (readonly [number, string])[] = await app.ask('run', 'return reads');
        const first = reads.findIndex(([at]) => at >= goesOnAt);
        expect(reads.slice(0, first).some(([, value]) => value === 'old')).toBe(true);
        expect(reads.slice(first).filter(([, value]) => value === 'old')).toEqual([]);
        // and it is served again by the cache
        expect(reads.at(-1)?.[1]).toBe('computed');
        await app.end('SIGKILL');
      },
    );

    it('that only blocked its own event loop keeps its entries, and computes nothing again', async () => {
      const distributed = { url: server.url, prefix: randomUUID(), commandTimeout: '5s' } as const;
      const app = await FaultChild.start(workshop, { directory: false, distributed });
      const counts: readonly number[] = await app.ask('run', BUSY);
      expect(counts).toEqual(counts.map(() => 1));
      await app.end('SIGKILL');
    });
  },
  'own',
);

describe('an instance whose event loop was blocked', () => {
  it('serves none of its entries until it has caught up, and computes once meanwhile', async () => {
    const clock = new FakeClock();
    const log = new QuietLog();
    log.caughtUpUntil = clock.now() + 1_000;
    const disk = new ModelTier('l2', ['standard'], new ModelDisk(), new Jobs());
    const share = (): SharedParts => ({ tier: new OffTier('l4', 'policy'), log, turns: FREE_TURNS });
    const app = new LaneApp({ clock, below: [disk], lanes: { docs: { l4: { enabled: false } } }, share });
    const [cache, atHome] = [app.manager(), app.manager('docs')];
    for (const each of [cache, atHome]) await each.getOrSet('k', async () => 'old');
    await nextTurn();
    while (disk.queued > 0) disk.commit();
    await clock.advance('999ms');
    expect(await cache.get('k')).toBe('old');
    await clock.advance('1ms');
    expect(await cache.get('k')).toBeUndefined();
    expect(await cache.has('k')).toBe(false);
    expect(await cache.getMany(['k'])).toEqual(new Map());
    expect(await atHome.get('k')).toBe('old');
    let computed = 0;
    const anew = async (): Promise<string> => `new ${++computed}`;
    const answers = await Promise.all(Array.from({ length: 10 }, () => cache.getOrSet('k', anew)));
    expect(new Set(answers)).toEqual(new Set(['new 1']));
    log.caughtUpUntil = clock.now() + 1_000;
    expect(await cache.get('k')).toBe('new 1');
  });

  it('serves all of its entries, once it has caught up a moment later', async () => {
    const clock = new FakeClock();
    let hear = (): void => undefined;
    const log = Object.assign(new QuietLog(), {
      caughtUpUntil: clock.now() + 1_000,
      whenCaughtUp: () => new Promise<void>((resolve) => (hear = resolve)),
    });
    const share = (): SharedParts => ({ tier: new OffTier('l4', 'policy'), log, turns: FREE_TURNS });
    const cache = new LaneApp({ clock, share }).manager();
    await cache.set('k', 'held');
    await clock.advance('1s');
    const never = (): never => {
      throw new Error('it was computed');
    };
    const asked = [
      () => cache.getOrSet('k', never),
      () => cache.get('k'),
      () => cache.has('k'),
      () => cache.getMany(['k']),
      () => cache.getOrSetMany(['k'], never),
    ];
    for (const [at, ask] of asked.entries()) {
      const answer = ask();
      await nextTurn();
      log.caughtUpUntil = clock.now() + 1_000;
      hear();
      const held = new Map([['k', 'held']]);
      expect(await answer).toEqual(['held', 'held', true, held, held][at]);
      await clock.advance('1s');
    }
  });
});
