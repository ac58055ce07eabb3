import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Workshop, type Child } from '../support/child-process.js';
import { StorageBench } from '../support/storage.js';

/** An app that carries out commands, line by line, and answers with a line of JSON. */
const APP = `
import { createInterface } from 'node:readline';
import { CacheManager } from './lib/app/cache-app.js';
const cache = await CacheManager.fromSettings({ directory: process.argv[2], lane: 'standard' });
const say = (value) => process.stdout.write(JSON.stringify(value ?? null) + '\\n');
let computed = 0;
const commands = {
  get: async (key) => { const before = computed; const value = await cache.getOrSet(key, () => { computed++; return 'of ' + process.pid; }); return { value, computed: computed - before }; },
  flush: async () => { await cache.flush(); return 'flushed'; },
  l3: async () => cache.getMetrics().l3.state,
  tookOver: async () => { while (cache.getMetrics().l3.state === 'off') await cache.events.once('tier'); return Date.now(); },
  save: async (id, state) => (await cache.snapshots.cacheCheckpoint(id, state)).version,
  saveMany: async (id, count, worker) => { const saved = []; for (let n = 0; n < count; n++) saved.push((await cache.snapshots.cacheCheckpoint(id, { worker, n })).version); return saved; },
  restore: (id) => cache.snapshots.restoreCheckpoint(id),
  expect: (id, version) => cache.snapshots.cacheCheckpoint(id, 1, { expectedVersion: version }).then((info) => info.version, (error) => error.constructor.name + ' ' + error.code + ' ' + error.currentVersion),
  history: async (id) => (await cache.snapshots.history(id)).length,
  status: () => cache.getCheckpointCacheStatus(),
  close: async () => { await cache.close(); return 'closed'; },
};
say(process.pid);
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...args] = JSON.parse(line);
  void commands[name](...args).then(say, (error) => say({ error: error.code ?? error.message }));
}
`;

const ask = async (child: Child, ...command: readonly unknown[]): Promise<unknown> => {
  child.say(JSON.stringify(command));
  return JSON.parse(await child.line());
};

// processes take their time to start where many tests run at once
jest.setTimeout(60_000);

describe('processes of one directory', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  const start = async (directory: string): Promise<Child> => {
    const child = await workshop.run(APP, [directory]);
    await child.line();
    return child;
  };

  it('share one checkpoint store, four of them at once', async () => {
    const directory = await bench.path('cache');
    const children: Child[] = [];
    for (let n = 0; n < 4; n += 1) children.push(await start(directory));
    const states = await Promise.all(children.map((child) => ask(child, 'l3')));
    expect(states.map(String).toSorted()).toEqual(['on', 'on', 'on', 'on']);

    const saved = await Promise.all(children.map((child, worker) => ask(child, 'saveMany', 'flow', 25, worker)));
    const versions = saved.flat().map(Number);
    expect(new Set(versions).size).toBe(100);
    expect(Math.max(...versions)).toBe(100);
    const seen = await Promise.all(children.map((child) => ask(child, 'restore', 'flow')));
    expect(new Set(seen.map((one) => JSON.stringify(one))).size).toBe(1);
    for (const child of children) {
      expect(await ask(child, 'status')).toMatchObject({ state: 'on', versions: 100, cachedCheckpoints: 1 });
      expect(await ask(child, 'expect', 'flow', 7)).toBe('CheckpointConflictError CHECKPOINT_CONFLICT 100');
    }
    await Promise.all(children.map((child) => child.end('SIGTERM')));
  });

  it('hand over warm when the owner is killed, and save every checkpoint once', async () => {
    const directory = await bench.path('cache');
    const owner = await start(directory);
    expect(await ask(owner, 'get', 'key')).toMatchObject({ computed: 1 });
    await ask(owner, 'flush');
    const heir = await start(directory);
    await ask(heir, 'save', 'flow', 'through the owner');

    heir.say(JSON.stringify(['saveMany', 'flow', 200, 0]));
    heir.say(JSON.stringify(['tookOver']));
    await ask(owner, 'flush');
    const killedAt = Date.now();
    await owner.end('SIGKILL');
    const answers = [JSON.parse(await heir.line()), JSON.parse(await heir.line())] as unknown[];
    const [tookOverAt] = answers.filter((one) => typeof one === 'number');
    const [versions = []] = answers.filter((one): one is number[] => Array.isArray(one));
    // without an answer from anybody: by itself, in a second as a rule
    expect(Number(tookOverAt) - killedAt).toBeLessThan(20_000);
    expect(versions).toEqual(Array.from({ length: 200 }, (_, n) => n + 2));
    expect(await ask(heir, 'history', 'flow')).toBe(201);
    expect(await ask(heir, 'get', 'key')).toEqual({ value: `of ${owner.pid}`, computed: 0 });
    expect(await ask(heir, 'close')).toBe('closed');
  });

  it('keep saving while owners come and go', async () => {
    const directory = await bench.path('cache');
    let owner = await start(directory);
    let saved = 0;
    for (let round = 0; round < 3; round += 1) {
      const heir = await start(directory);
      heir.say(JSON.stringify(['saveMany', 'flow', 50, round]));
      expect(await ask(owner, 'close')).toBe('closed');
      const versions: unknown = JSON.parse(await heir.line());
      expect(versions).toEqual(Array.from({ length: 50 }, (_, n) => saved + n + 1));
      saved += 50;
      await owner.end('SIGTERM');
      owner = heir;
    }
    expect(await ask(owner, 'history', 'flow')).toBe(150);
  });

  it('fail with a clear error, instead of waiting for ever, when the owner is frozen', async () => {
    const directory = await bench.path('cache');
    const owner = await start(directory);
    const other = await start(directory);
    await ask(other, 'save', 'flow', 1);
    owner.signal('SIGSTOP');
    expect(await ask(other, 'save', 'flow', 2)).toEqual({ error: 'CHECKPOINTS_UNAVAILABLE' });
    owner.signal('SIGCONT');
    // it may have been carried out all the same, once the owner went on
    while ((await ask(other, 'restore', 'flow')) !== 2);
  });
});
