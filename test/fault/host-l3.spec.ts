import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { connect } from 'node:net';
import { join } from 'node:path';
import { edited, Workshop } from '../support/child-process.js';
import { FaultChild } from '../support/fault-child.js';
import { StorageBench } from '../support/storage.js';

const KEYS = 60;
/** Reads all keys, and again what a busy owner did not answer in time; those that are `gone` once. */
const readAll = (...gone: readonly number[]): string => `let found = 0;
  for (let n = 0; n < ${KEYS}; n++) {
    let value = await cache.get('key:' + n);
    for (let tries = 0; tries < 200 && value === undefined && !${JSON.stringify(gone)}.includes(n); tries++) {
      await new Promise((later) => setTimeout(later, 20));
      value = await cache.get('key:' + n);
    }
    if (value !== undefined) found++;
  }
  return { found, hits: cache.getMetrics().l3.hits, state: cache.getMetrics().l3.state };`;

describe('a process beside the owner of a directory', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  const pair = async () => {
    const directory = await bench.path('cache');
    const owner = await FaultChild.start(workshop, { directory });
    const other = await FaultChild.start(workshop, { directory });
    return { directory, owner, other };
  };

  it('reads what the owner has in L3, into its own memory', async () => {
    const { owner, other } = await pair();
    await owner.ask('fill', { keys: KEYS, bytes: 100 });
    expect(await other.ask('run', readAll())).toEqual({ found: KEYS, hits: KEYS, state: 'on' });
    expect(await other.ask('run', `await cache.get('key:${KEYS - 1}'); return cache.getMetrics().l3.hits`)).toBe(KEYS);
  });

  it('offers the owner what it computes and what it sets', async () => {
    const { owner, other } = await pair();
    await other.ask('fill', { keys: KEYS, bytes: 100 });
    await other.ask('run', `await cache.set('set', 'by the other', { tags: ['t'] }); await cache.flush();`);
    expect(await owner.ask('run', readAll())).toEqual({ found: KEYS, hits: KEYS, state: 'on' });
    expect(await owner.ask('run', `return cache.get('set')`)).toBe('by the other');
    await other.ask('run', `await cache.invalidateByTag('t')`);
    expect(await owner.ask('run', `return (await cache.get('set')) ?? 'gone'`)).toBe('gone');
  });

  it('gets nothing from L3 that it has invalidated, and what it had in L3 is there after the owner was killed', async () => {
    const { directory, owner, other } = await pair();
    await owner.ask('fill', { keys: KEYS, bytes: 100 });
    await other.ask('run', `await cache.invalidate('key:3'); await cache.invalidateByTag('key:4');`);
    expect(await other.ask('run', readAll(3, 4))).toMatchObject({ found: KEYS - 2, state: 'on' });
    await other.ask('run', `await cache.set('late', 1); await cache.flush();`);
    await owner.end('SIGKILL');
    // It would be the owner itself, if it came in time.
    await other.ask('until', 'l3', 'on');
    const third = await FaultChild.start(workshop, { directory });
    expect(await third.ask('run', `return (await cache.get('key:3')) ?? (await cache.get('key:4')) ?? 'gone'`)).toBe(
      'gone',
    );
  });

  it('computes while the owner is frozen, and reads from it again later', async () => {
    const { owner, other } = await pair();
    await owner.ask('fill', { keys: KEYS, bytes: 100 });
    owner.child.signal('SIGSTOP');
    expect(await other.ask('run', `return cache.getOrSet('key:1', () => 'computed')`)).toBe('computed');
    await other.ask('run', `await cache.invalidate('key:2')`);
    owner.child.signal('SIGCONT');
    await other.ask(
      'run',
      `for (let n = 10; cache.getMetrics().l3.hits === 0; n = 10 + ((n + 1) % 40)) {
         await cache.get('key:' + n);
         await new Promise((later) => setTimeout(later, 20));
       }`,
    );
    expect(await other.ask('run', `return (await cache.get('key:2')) ?? 'gone'`)).toBe('gone');
    expect(await owner.ask('run', `return (await cache.get('key:2')) ?? 'gone'`)).toBe('gone');
  });

  it('writes many entries while the owner is frozen, without those that there is no room for, and offers it the rest later', async () => {
    const { owner, other } = await pair();
    await other.ask('run', `await cache.set('first', 1); await cache.flush();`);
    owner.child.signal('SIGSTOP');
    const written: Readonly<Record<string, number>> = await other.ask(
      'run',
      `const stored = await cache.setMany(Array.from({ length: 40 }, (_, n) => ['k' + n, Buffer.alloc(1_000_000)]));
       return { stored, refused: cache.getMetrics().refused.backlog };`,
    );
    expect(written).toMatchObject({ stored: 40 });
    expect(written['refused']).toBeGreaterThan(0);
    expect(written['refused']).toBeLessThan(10);
    owner.child.signal('SIGCONT');
    await other.ask('run', `for (const key of ['one', 'last']) { await cache.set(key, 2); await cache.flush(); }`);
    const ofOwner = `return Promise.all(['k0', 'k39', 'last'].map(async (key) => (await cache.get(key)) !== undefined))`;
    expect(await owner.ask('run', ofOwner)).toEqual([true, false, true]);
  });

  it('says that it shares no entries with an owner of another protocol, and shares invalidations', async () => {
    const newer = await workshop.variant(
      new Map([['lib/ipc/protocol.ts', edited('export const PROTOCOL = 2;', 'export const PROTOCOL = 3;')]]),
    );
    try {
      const directory = await bench.path('cache');
      const owner = await FaultChild.start(workshop, { directory });
      const other = await FaultChild.start(newer, { directory });
      await other.ask('run', `await cache.getOrSet('k', () => 'old')`);
      await owner.ask('invalidate', 'k');
      expect(await other.ask('run', `return cache.getOrSet('k', () => 'new')`)).toBe('new');
      expect(await other.ask('state')).toMatchObject({ l2: 'on', l3: 'off in-use' });
      const logged: readonly string[] = await other.ask('logged');
      expect(logged.filter((line) => line.includes('another protocol'))).toEqual([
        expect.stringMatching(
          /^warn Tier l3 is off \(in-use\).*Invalidations are shared with it, entries and checkpoints are not/,
        ),
      ]);
      // Once that one has ended, it has L3 with all its entries.
      await owner.ask('run', `await cache.set('kept', 1); await cache.flush();`);
      await owner.ask('close');
      await other.ask('until', 'l3', 'on');
      expect(await other.ask('run', `return cache.get('kept')`)).toBe(1);
    } finally {
      await newer.dispose();
    }
  });

  it('is served on beside a process that sends nonsense', async () => {
    const { directory, owner, other } = await pair();
    await owner.ask('fill', { keys: KEYS, bytes: 100 });
    const nonsense = [
      Buffer.from([0xff, 0xff, 0xff, 0xff, 0xc1]),
      Buffer.from([0, 0, 0, 3, 0xc1, 0, 0]),
      Buffer.from([0, 0, 0, 40, 0xc1, 9, 1]),
      Buffer.alloc(4096, 0xc1),
    ];
    for (const bytes of nonsense) {
      const socket = connect(join(directory, 'claims', 'owner.sock'));
      await new Promise((closed) => {
        socket.on('error', () => undefined).on('close', closed);
        socket.end(bytes);
        socket.resume();
      });
    }
    expect(await other.ask('run', readAll())).toMatchObject({ found: KEYS, state: 'on' });
  });
});
