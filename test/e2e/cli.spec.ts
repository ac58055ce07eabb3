import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { CacheManager } from '../../lib/app/cache-app.js';
import { Workshop, type Child } from '../support/child-process.js';
import { until } from '../support/gate.js';
import { roundsOf } from '../support/fault-table.js';
import { StorageBench } from '../support/storage.js';

/** Writes entries and checkpoints continuously and prints those that are acknowledged, until it reads `stop`. */
const APP = `
import { createInterface } from 'node:readline';
import { CacheManager } from './lib/app/cache-app.js';
const cache = await CacheManager.fromSettings({ directory: process.argv[2], lanes: { own: { extends: 'standard', ttl: '2h' } } });
const print = (line) => process.stdout.write(line + '\\n');
let working = process.argv[3] === 'work';
const work = async () => {
  for (let n = 0; working; n++) {
    await cache.set('entry:' + n, { n });
    const { version } = await cache.snapshots.cacheCheckpoint('flow', { n });
    await cache.flush();
    print('kept ' + n + ' ' + version);
    await new Promise((later) => setTimeout(later, 5));
  }
};
await cache.getOrSet('first', () => 'value', { tags: ['t'] });
await cache.getOrSet('first', () => 'value');
await cache.flush();
print('ready');
const done = work();
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'metrics') print(JSON.stringify(cache.getMetrics()));
  if (line === 'stop') { working = false; await done; await cache.close(); print('closed'); process.stdin.destroy(); break; }
}
`;
/** Holds values that are read often and take more than half of its heap. */
const HOARDER = `
import { createInterface } from 'node:readline';
import { CacheManager } from './lib/app/cache-app.js';
const heavy = { l2: { enabled: false }, l3: { enabled: false } };
const cache = await CacheManager.fromSettings({ directory: process.argv[2], lane: 'heavy', lanes: { heavy } });
const rows = (n) => Array.from({ length: 250 }, (_, row) => Buffer.alloc(20_000, n + ' ' + row + ' ').toString());
for (let n = 0; n < 90; n++) await cache.getOrSet('key:' + (n % 18), () => rows(n));
process.stdout.write('ready\\n');
for await (const _ of createInterface({ input: process.stdin }));
`;
const CLI = "await import('./lib/cli/main.js');";
/** Prints which packages a command has loaded, of those that take long. */
const CLI_LOADING = `
import { createRequire } from 'node:module';
const { cache } = createRequire(import.meta.url);
process.on('exit', () => {
  const loaded = (name) => Object.keys(cache).some((file) => file.includes('/node_modules/' + name + '/'));
  process.stderr.write(['commander', 'cli-progress', 'cron', 'lmdb', 'msgpackr-extract'].filter(loaded).join(' '));
});
${CLI}
`;

const asObject = (value: unknown): object => (typeof value === 'object' && value !== null ? value : {});

interface Ran {
  readonly status: number | string;
  readonly out: string;
  readonly errors: string;
}

// processes start slowly while many tests run
jest.setTimeout(60_000);

describe('the command line, run as a process', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  let directory: string;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  const start = async (mode = 'rest'): Promise<Child> => {
    directory = await bench.path('cache');
    const app = await workshop.run(APP, [directory, mode]);
    expect(await app.line()).toBe('ready');
    return app;
  };
  const cli = async (...args: readonly string[]): Promise<Ran> => {
    const child = await workshop.run(CLI, [...args, '--directory', directory]);
    const { status, lines } = await child.end();
    return { status, out: lines.join('\n'), errors: child.errors };
  };

  it("shows the running app's memory and live counters, and changes what it holds", async () => {
    const app = await start();
    const { status, out, errors } = await cli('--lane', 'standard', '--action', 'metrics');
    expect([status, errors]).toEqual([0, '']);
    app.say('metrics');
    const own: unknown = JSON.parse(await app.line());
    const shown: unknown = JSON.parse(out, (name, value: unknown) => (name === 'timestamp' ? undefined : value));
    expect(own).toMatchObject(asObject(shown));
    expect(shown).toMatchObject({ requests: 2, l1: { entries: 1, hits: 1 } });
    expect(JSON.parse((await cli('keys')).out)).toMatchObject([
      { key: 'first', tiers: ['l1', 'l2', 'l3'], tags: ['t'] },
    ]);
    expect(JSON.parse((await cli('metrics', '--lane', 'own')).out)).toMatchObject({ policy: { ttlMs: 7_200_000 } });

    expect(await cli('clear')).toMatchObject({ status: 5, out: '' });
    expect((await cli('--lane', 'standard', '--action', 'clear')).status).toBe(0);
    expect(JSON.parse((await cli('explain', 'first')).out)).toMatchObject({
      next: 'compute',
      tiers: [{ reason: 'invalidated', invalidatedBy: { kind: 'all' } }, {}, {}, {}],
    });
    app.say('stop');
    await app.end();
  });

  it('loads neither a database, nor schedules, nor progress bars to ask a running app', async () => {
    const app = await start();
    const child = await workshop.run(CLI_LOADING, ['metrics', '--directory', directory]);
    const { status } = await child.end();
    expect([status, child.errors]).toEqual([0, 'commander']);
    app.say('stop');
    await app.end();
  });

  it('ends with an exit code and a text on stderr', async () => {
    const app = await start();
    expect(await cli('metrics', '--lane', 'nope')).toMatchObject({
      status: 2,
      out: '',
      errors: expect.stringContaining("There is no lane 'nope'. Known lanes: docs, standard, heavy, own"),
    });
    expect(await cli('checkpoints', 'show', 'nothing')).toMatchObject({ status: 6, out: '' });
    app.signal('SIGSTOP');
    expect(await cli('metrics', '--timeout', '300ms')).toMatchObject({ status: 4, out: '' });
    const examined = await cli('doctor', '--timeout', '300ms');
    expect([examined.status, JSON.parse(examined.out)]).toMatchObject([1, { findings: [{ code: 'OWNER_SILENT' }] }]);
    app.signal('SIGCONT');
    expect((await cli('doctor')).status).toBe(0);
    await app.end('SIGKILL');
    directory = `${directory}/nowhere`;
    expect(await cli('metrics')).toMatchObject({ status: 3, out: '' });
  });

  it('asks on a terminal, whose width it keeps, and ends with 130 on Ctrl-C and Ctrl-D', async () => {
    if (process.platform !== 'linux') return console.warn('Only Linux has the terminal of `script`.');
    const app = await start();
    const onTerminal = (...args: readonly string[]): Promise<Child> =>
      workshop.run(
        CLI,
        [...args, '--directory', directory],
        ['sh', '-c', 'exec script -qfec "stty cols 80 rows 24; $*" /dev/null', 'sh'],
      );
    for (const pressed of ['\u0003', '\u0004']) {
      const asked = await onTerminal('clear');
      await asked.written('[y/N] ');
      asked.type(pressed);
      expect(await asked.end()).toMatchObject({ status: 130 });
      expect(asked.output).toContain('Nothing was done.');
      expect(asked.output).not.toMatch(/at \S+ \(/);
    }
    const shown = await onTerminal('keys');
    expect((await shown.end()).status).toBe(0);
    expect(shown.output).toMatch(/^key +/m);
    for (const line of shown.output.split('\r\n')) expect(line.length).toBeLessThanOrEqual(80);

    const confirmed = await onTerminal('clear');
    await confirmed.written('[y/N] ');
    confirmed.type('y\r');
    expect((await confirmed.end()).status).toBe(0);
    expect(JSON.parse((await cli('keys')).out)).toEqual([]);
    app.say('stop');
    await app.end();
  });

  it('is quiet in a pipe whose reader has ended', async () => {
    const app = await start();
    const piped = await workshop.run(
      CLI,
      ['keys', '--json', '--directory', directory],
      ['sh', '-c', '"$@" | true', 'sh'],
    );
    expect([(await piped.end()).status, piped.errors]).toEqual([0, '']);
    app.say('stop');
    await app.end();
  });

  it("finds the lane that fills a process's memory", async () => {
    directory = await bench.path('cache');
    // The young generation counts as well, and is four times as large from Node 24 on.
    const limits = 'NODE_OPTIONS=--max-old-space-size=120 --max-semi-space-size=16';
    const app = await workshop.run(HOARDER, [directory], ['env', limits]);
    expect(await app.line()).toBe('ready');
    const { status, out } = await cli('doctor');
    expect([status, JSON.parse(out)]).toMatchObject([
      1,
      { findings: [{ code: 'HIGH_MEMORY', lane: 'heavy', advice: expect.stringContaining("'l1.maxBytes' (512 MB)") }] },
    ]);
    await app.end('SIGKILL');
  });

  it('works on the directory of a killed app', async () => {
    const app = await start();
    await until(() => existsSync(join(directory, 'app.json')));
    await app.end('SIGKILL');
    const { out, errors } = await cli('metrics', '--lane', 'own');
    expect(JSON.parse(out)).toMatchObject({ lane: 'own', policy: { ttlMs: 7_200_000 } });
    expect(errors).toContain('No app runs on this directory');
    expect(JSON.parse((await cli('keys')).out)).toMatchObject([{ key: 'first', tiers: ['l3'] }]);
    expect((await cli('verify')).status).toBe(0);
    expect((await cli('doctor')).status).toBe(0);
    expect(JSON.parse((await cli('explain', 'first')).out)).toMatchObject({ next: 'hit', answeredBy: 'l3' });
  });

  it('loses nothing of an app that writes, however often it runs beside it', async () => {
    const app = await start('work');
    const commands = [
      ['metrics'],
      ['keys', '--limit', '5'],
      ['explain', 'entry:1'],
      ['status'],
      ['checkpoints', 'list'],
      ['verify'],
      ['invalidate', 'nothing', '--yes'],
      ['doctor'],
    ];
    const calls = roundsOf(24, 100);
    const statuses: (number | string)[] = [];
    const call = async (from: number): Promise<void> => {
      for (let n = from; n < calls; n += 4) statuses.push((await cli(...(commands[n % commands.length] ?? []))).status);
    };
    await Promise.all([0, 1, 2, 3].map(call));
    expect(statuses.filter((status) => status !== 0)).toEqual([]);
    expect(statuses).toHaveLength(calls);

    app.say('stop');
    const { lines, status } = await app.end();
    expect(status).toBe(0);
    const kept = lines.filter((line) => line.startsWith('kept ')).map((line) => line.split(' ').map(Number));
    expect(kept.length).toBeGreaterThan(calls);
    const cache = await CacheManager.fromSettings({ directory, logger: false });
    const missing: unknown[] = [];
    for (const [, n = -1, version = 0] of kept) {
      const entry = await cache.get('entry:' + n);
      const saved = await cache.snapshots.restoreCheckpoint('flow', { version });
      if (JSON.stringify([entry, saved]) !== JSON.stringify([{ n }, { n }])) missing.push([n, version, entry, saved]);
    }
    expect(missing).toEqual([]);
    expect(await cache.snapshots.history('flow')).toHaveLength(kept.length);
    await cache.close();
  }, 120_000);

  describe('completes', () => {
    /** What it offers for the last of `words`, which may be empty. */
    const offered = async (...words: readonly string[]): Promise<readonly string[]> => {
      const child = await workshop.run(CLI, ['complete', '--', ...words]);
      const { status, lines } = await child.end();
      expect({ status, errors: child.errors }).toEqual({ status: 0, errors: '' });
      return lines.filter((line) => !line.startsWith(':')).map((line) => line.split('\t')[0] ?? '');
    };

    it('commands, their options, and the options of all commands behind them', async () => {
      expect(await offered('in')).toEqual(['invalidate']);
      expect(await offered('checkpoints', '')).toEqual(expect.arrayContaining(['list', 'show', 'rm', 'finish']));
      const options = await offered('keys', '--');
      expect(options).toEqual(expect.arrayContaining(['--limit', '--wide', '--lane', '--json', '--directory']));
    });

    it('the lanes of the app, and without one those that every app has', async () => {
      const path = await bench.path('cache');
      expect(await offered('--directory', path, 'keys', '--lane', '')).toEqual(['docs', 'standard', 'heavy']);
      const cache = await CacheManager.fromSettings({ directory: path, logger: false, lanes: { ml: {} } });
      await cache.close();
      expect(await offered('--directory', path, 'keys', '--lane', '')).toContain('ml');
      expect(await offered('--directory', path, '--lane', 'm')).toEqual(['ml']);
    });

    it.each(['bash', 'zsh', 'fish', 'powershell'])('in %s, by a script that calls it', async (shell) => {
      const child = await workshop.run(CLI, ['complete', shell]);
      const { status, lines } = await child.end();
      expect(status).toBe(0);
      expect(lines.join('\n')).toMatch(/nestjs-lane-cache\W+complete|nestjs-lane-cache'.*complete/s);
    });

    it('in no other shell', async () => {
      const child = await workshop.run(CLI, ['complete', 'cmd']);
      expect((await child.end()).status).toBe(2);
      expect(child.errors).toContain('bash');
    });
  });
});
