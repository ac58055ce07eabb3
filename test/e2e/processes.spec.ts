import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Workshop } from '../support/child-process.js';

const PREFACE = `
import { CacheManager } from './lib/app/cache-app.js';
const [directory] = process.argv.slice(2);
const storage = { minFreeBytes: 0 };
const say = (line) => console.log(JSON.stringify(line));
`;

/** What keeps a process alive or shows that something was left open. */
const LEFT = `
const left = () => process.getActiveResourcesInfo().filter((name) => !/Pipe|TTY|FSReq|^Immediate$/.test(name));
`;

describe('a cache in a separate process', () => {
  let workshop: Workshop;
  let directory: string;

  beforeAll(async () => {
    workshop = await Workshop.build();
  }, 60_000);
  afterAll(() => workshop.dispose());
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'lane-cache-processes-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));

  async function run(source: string): Promise<readonly unknown[]> {
    const child = await workshop.run(PREFACE + LEFT + source, [directory]);
    const { status, lines } = await child.end();
    expect({ status, errors: child.errors }).toEqual({ status: 0, errors: '' });
    return lines.map((line): unknown => JSON.parse(line));
  }

  it('serves after a restart what is kept on disk, with the expiry it had; the docs lane starts empty', async () => {
    const [before] = await run(`
      const cache = await CacheManager.fromSettings({ directory, storage });
      await cache.getOrSet('key', () => ({ at: new Date(0), big: 10n }), { ttl: '1h', tags: ['tag'] });
      await cache.forLane('docs').set('page', 'html');
      const askedAt = Date.now();
      for await (const { remainingMs } of cache.entries()) say([askedAt + remainingMs, Date.now() + remainingMs]);
      await cache.close();
    `);
    const [value, expiresAt, computed, page] = await run(`
      const cache = await CacheManager.fromSettings({ directory, storage });
      let computed = 0;
      const value = await cache.getOrSet('key', () => ++computed, { ttl: '5h' });
      say([value.at instanceof Date, value.at.getTime(), typeof value.big, String(value.big)]);
      const askedAt = Date.now();
      for await (const { remainingMs } of cache.entries()) say([askedAt + remainingMs, Date.now() + remainingMs]);
      say(computed);
      say((await cache.forLane('docs').get('page')) ?? 'nothing');
      await cache.close();
    `);
    expect(value).toEqual([true, 0, 'bigint', '10']);
    // each lies between two readings of the clock
    const [[from, until], [fromThen, untilThen]] = [expiresAt, before] as [[number, number], [number, number]];
    expect(from).toBeLessThan(untilThen + 50);
    expect(until).toBeGreaterThan(fromThen - 50);
    expect([computed, page]).toEqual([0, 'nothing']);
  });

  it('serves after kill -9 what was flushed', async () => {
    const child = await workshop.run(
      `${PREFACE}
      const cache = await CacheManager.fromSettings({ directory, storage });
      await cache.set('key', 'flushed');
      await cache.flush();
      say('ready');
      setInterval(() => undefined, 1_000);`,
      [directory],
    );
    await child.line();
    await child.end('SIGKILL');
    expect(
      await run(`
        const cache = await CacheManager.fromSettings({ directory, storage });
        say(await cache.get('key'));
        say(cache.getMetrics().l3.hits);
        await cache.close();
      `),
    ).toEqual(['flushed', 1]);
  });

  it('removes what a killed process left of its session, and touches nothing else', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'lane-cache-outside-'));
    await writeFile(join(outside, 'precious'), 'mine');
    const child = await workshop.run(
      `${PREFACE}
      const cache = await CacheManager.fromSettings({ directory, storage });
      await cache.forLane('docs').set('page', 'x'.repeat(100_000));
      await cache.flush();
      say('ready');
      setInterval(() => undefined, 1_000);`,
      [directory],
    );
    await child.line();
    const alive = await tree(directory);
    await child.end('SIGKILL');
    await writeFile(join(directory, 'notes.txt'), 'mine');
    await mkdir(join(directory, 'archive', 'l2'), { recursive: true });
    await writeFile(join(directory, 'archive', 'l2', 'data.mdb'), 'mine');
    await symlink(outside, join(directory, 'link'));
    const foreign = ['notes.txt', 'archive/l2/data.mdb', 'link'];

    await run(`
      const cache = await CacheManager.fromSettings({ directory, storage });
      await cache.sweep();
      await cache.close();
    `);
    const after = await tree(directory);
    expect(after).toEqual(expect.arrayContaining(foreign));
    expect(await readFile(join(directory, 'archive/l2/data.mdb'), 'utf8')).toBe('mine');
    expect(await readFile(join(outside, 'precious'), 'utf8')).toBe('mine');
    const sessions = alive.filter((file) => file.endsWith('data.mdb') && /session/.test(file));
    expect(sessions).toHaveLength(1);
    expect(after.filter((file) => sessions.includes(file))).toEqual([]);
    expect(after.filter((file) => /session/.test(file) && file.endsWith('data.mdb'))).toEqual([]);
    await rm(outside, { recursive: true, maxRetries: 5 });
  });

  it('leaves the session of a process that lives alone', async () => {
    const child = await workshop.run(
      `${PREFACE}
      const cache = await CacheManager.fromSettings({ directory, storage, lanes: { docs: { l1: { maxEntries: 1 } } } });
      const docs = cache.forLane('docs');
      await docs.set('page', 'kept');
      await docs.set('other', 'page');
      await cache.flush();
      say('ready');
      process.stdin.once('data', async () => {
        say(await docs.get('page'));
        await cache.close();
        process.exit();
      });`,
      [directory],
    );
    await child.line();
    await run(`
      const cache = await CacheManager.fromSettings({ directory, storage });
      await cache.sweep();
      await cache.close();
    `);
    child.say('go on');
    expect(JSON.parse(await child.line())).toBe('kept');
    await child.end();
  });

  it('keeps files to their user', async () => {
    await run(`
      const cache = await CacheManager.fromSettings({ directory: directory + '/own', storage });
      await cache.set('key', 1);
      await cache.flush();
      await cache.snapshots.getCheckpointCacheStatus();
      process.exit();
    `);
    const own = join(directory, 'own');
    const modes = await Promise.all(
      ['', ...(await tree(own, 'directories too'))].map(async (name) => {
        const found = await stat(join(own, name));
        return { name, mode: (found.mode & 0o777).toString(8), wanted: found.isDirectory() ? '700' : '600', found };
      }),
    );
    const open = modes.filter(({ found, mode, wanted }) => !found.isSocket() && mode !== wanted);
    expect(open.map(({ name, mode }) => `${name} ${mode}`)).toEqual([]);
  });

  it('leaves no handle, timer or lock when it is closed, however often', async () => {
    expect(
      await run(`
        const cache = await CacheManager.fromSettings({ directory, storage });
        await cache.getOrSet('key', () => 1);
        await cache.getOrSet('renewed', () => 1, { refreshAhead: 0.5, hardTimeout: '1h', softTimeout: '1h' });
        await Promise.all([cache.close(), cache.close()]);
        await cache.close();
        say(left());
        const again = await CacheManager.fromSettings({ directory, storage });
        say(again.getMetrics().l3.state);
        await again.close();
        say(left());
      `),
    ).toEqual([[], 'on', []]);
  });

  it.each([
    ['on disk', 'directory'],
    ['in memory', 'directory: false'],
  ])('ends by itself without being closed, %s', async (_, where) => {
    expect(
      await run(`
        const cache = await CacheManager.fromSettings({ ${where}, storage });
        await cache.getOrSet('key', () => 1);
        await cache.set('other', 2);
        cache.events.on('sweep', () => undefined);
        say('done');
      `),
    ).toEqual(['done']);
  });

  it('stays alive for callers that a timeout answers, while nothing else keeps it alive', async () => {
    expect(
      await run(`
        const cache = await CacheManager.fromSettings({ directory: false });
        const never = () => new Promise(() => undefined);
        const code = (answer) => answer.then((value) => value, (error) => error.code);
        say(await code(cache.getOrSet('key', never, { hardTimeout: '50ms' })));
        say(await code(cache.getOrSetMany(['key'], never, { hardTimeout: '50ms' })));
        await cache.set('stale', 'old', { ttl: '1ms', grace: '1h' });
        await new Promise((resolve) => setTimeout(resolve, 20));
        say(await code(cache.getOrSet('stale', never, { softTimeout: '50ms' })));
        void cache.getOrSet('queued', never);
        await cache.invalidate('queued');
        void cache.getOrSet('queued', never);
        await cache.invalidate('queued');
        say(await code(cache.getOrSet('queued', never, { hardTimeout: '50ms' })));
      `),
    ).toEqual(['COMPUTE_TIMEOUT', 'COMPUTE_TIMEOUT', 'old', 'COMPUTE_TIMEOUT']);
  });

  it('ends although computations hang and were given a long hardTimeout, once no caller waits', async () => {
    expect(
      await run(`
        const cache = await CacheManager.fromSettings({ directory: false });
        const never = () => new Promise(() => undefined);
        const leaving = new AbortController();
        const options = { hardTimeout: '1h', softTimeout: '1h' };
        const answer = cache.getOrSet('left', never, { ...options, signal: leaving.signal });
        leaving.abort(new Error('left'));
        say(await answer.catch((error) => error.message));
        await cache.set('stale', 'old', { ttl: '1ms', grace: '1h' });
        await new Promise((resolve) => setTimeout(resolve, 20));
        say(await cache.getOrSet('stale', never, { ...options, softTimeout: '50ms' }));
        say(await cache.getOrSet('given up', never, { hardTimeout: '50ms' }).catch((error) => error.code));
      `),
    ).toEqual(['left', 'old', 'COMPUTE_TIMEOUT']);
  });

  it('ends by itself without being closed when its directory is in use', async () => {
    expect(
      await run(`
        const first = await CacheManager.fromSettings({ directory, storage });
        const second = await CacheManager.fromSettings({ directory, storage });
        await second.getOrSet('key', () => 1);
        say(second.getMetrics().l3.state);
      `),
    ).toEqual(['on']);
  });

  it('lets one of several processes own the directory, and another take over when it is killed', async () => {
    const source = `${PREFACE}
      const cache = await CacheManager.fromSettings({ directory, storage });
      say(cache.getMetrics().l3.state);
      cache.events.on('owner', async ({ state }) => {
        if (state !== 'taken-over') return;
        say((await cache.get('key')) ?? 'nothing');
        await cache.close();
        process.exit();
      });
      await cache.getOrSet(process.argv[3], ({ key }) => 'from ' + key);
      await cache.flush();
      say('ready');
      setInterval(() => undefined, 1_000);`;
    const owner = await workshop.run(source, [directory, 'key']);
    expect([await owner.line(), await owner.line()]).toEqual(['"on"', '"ready"']);
    const other = await workshop.run(source, [directory, 'other']);
    expect([await other.line(), await other.line()]).toEqual(['"on"', '"ready"']);
    await owner.end('SIGKILL');
    expect(await other.line()).toBe('"from key"');
    await other.end();
  }, 20_000);
});

async function tree(directory: string, also?: 'directories too'): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => also !== undefined || !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1));
}
