import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CacheManager } from '../../../lib/app/cache-app.js';
import { runCli, type Ran, type TerminalWish } from '../../support/fake-terminal.js';
import { StorageBench } from '../../support/storage.js';

describe('the command line', () => {
  const bench = new StorageBench();
  let directory: string;
  let cache: CacheManager;

  beforeEach(async () => {
    directory = await bench.path('cache');
    cache = await CacheManager.fromSettings({
      directory,
      logger: false,
      version: '7',
      lanes: { ml: { extends: 'heavy', useCases: ['model outputs'] } },
    });
    await cache.getOrSet('user:1', () => 'one', { tags: ['users'] });
    await cache.getOrSet('user:1', () => 'one');
    await cache.forLane('ml').getOrSet('model', () => ({ weights: new Float32Array(4) }));
    await cache.snapshots.cacheCheckpoint(
      'run',
      { step: 1, at: new Date(0), count: 2n },
      { workflow: 'nightly', step: 1 },
    );
    await cache.snapshots.cacheCheckpoint('run', { step: 2 }, { workflow: 'nightly', step: 2 });
    await cache.flush();
  });
  afterEach(async () => {
    await cache.close();
    await bench.dispose();
  });

  const cli = (args: string, wish?: TerminalWish): Promise<Ran> =>
    runCli([...args.split(' '), '--directory', directory], wish);
  const json = async (args: string): Promise<unknown> => {
    const { exitCode, out, notes } = await cli(args);
    expect([exitCode, notes]).toEqual([0, '']);
    return JSON.parse(out);
  };

  it("shows the running app's own numbers, all lanes or one", async () => {
    const { timestamp: _, ...numbers } = cache.getMetrics();
    expect(await json('metrics --lane standard')).toMatchObject(numbers);
    expect(await json('metrics')).toMatchObject({
      lanes: { standard: numbers, ml: { requests: 1 }, docs: {}, heavy: {} },
    });
    expect(await json('--lane standard --action metrics')).toMatchObject({ lane: 'standard', requests: 2 });
  });

  it('shows keys, explanations and checkpoints in the documented shapes', async () => {
    expect(await json('keys')).toHaveLength(2);
    expect(await json('keys user:*')).toMatchObject([
      { key: 'user:1', lane: 'standard', tiers: ['l1', 'l2', 'l3'], tags: ['users'], accessCount: 1 },
    ]);
    expect(await cli('keys --limit 1')).toMatchObject({
      out: expect.not.stringContaining('model'),
      notes: expect.stringContaining('--limit'),
    });
    expect(await json('explain user:1')).toMatchObject({
      key: 'user:1',
      lane: 'standard',
      next: 'hit',
      answeredBy: 'l1',
    });
    expect(await json('explain user:1 --lane ml')).toMatchObject({ lane: 'ml', next: 'compute' });
    expect(await json('status')).toMatchObject({ cachedCheckpoints: 1, versions: 2, state: 'on' });
    expect(await json('status --lane docs')).toMatchObject({
      cachedCheckpoints: 0,
      versions: 0,
      bytes: 0,
      state: 'on',
      lanes: {},
      tiers: { l1: { on: ['docs'] } },
    });
    expect(await json('checkpoints list')).toMatchObject({
      items: [
        { id: 'run', version: 2 },
        { id: 'run', version: 1 },
      ],
    });
    expect(await json('checkpoints list --workflow other')).toEqual({ items: [] });
    expect(await json('checkpoints show run --version 1')).toMatchObject({
      id: 'run',
      version: 1,
      state: { step: 1, at: '1970-01-01T00:00:00.000Z', count: '2' },
    });
    expect(cache.getMetrics().requests).toBe(2);
  });

  it('prints tables on a terminal, in every command', async () => {
    const table = async (args: string): Promise<string> => (await cli(args, { isInteractive: true })).out;
    expect(await table('metrics')).toMatch(
      /standard {2}2 requests, 50\.0 % answered from the cache \(target 50-70 %\)[^]*l1 +on +1 [^]*docs {2}no requests yet|docs {2}no requests yet[^]*standard {2}2 requests/,
    );
    expect(await table('metrics --lane docs --verbose')).toMatch(/^docs {2}no requests yet\ntier/);
    expect(await table('metrics --lane ml --verbose')).toMatch(
      /policy: l1 1,000 \/ 512 MB[^]*use cases: model outputs/,
    );
    expect(await table('keys')).toMatch(
      /key +lane +tiers +age +left +size +cost +tags\nuser:1 +standard +l1 l2 l3 .* users\n/,
    );
    expect(await table('explain nothing')).toMatch(
      /The next call\s+computes it\.\n\ntier +status +reason +detail\nl1 +absent +never-seen/,
    );
    expect(await table('status')).toMatch(/^Process \d+ owns [^]*\nCheckpoints are on\. 1 checkpoint in 2 versions/);
    expect(await table('checkpoints list')).toMatch(/run +v2 +standard +nightly +2 .* ago/);
    expect(await table('checkpoints show run')).toMatch(/^id {9}run\nversion {4}2\nlane {7}standard\n[^]*"step": 2/);
    expect(await table('verify')).toMatch(/standard\.l3 +1 +intact[^]*checkpoints +2 +intact/);
    expect(await table('bench --iterations 20 --keys 5')).toMatch(
      /20 calls of lane 'standard', 75\.0 % hits[^]*computed/,
    );
    expect((await cli('keys --no-json')).out).toMatch(/^key +lane/);
    expect((await cli('keys --json', { isInteractive: true })).out).toMatch(/^\[\n/);
  });

  it('shows the progress of a verification', async () => {
    // one key in each of two lanes, on both disk tiers, and two versions of a checkpoint
    expect(await cli('verify')).toMatchObject({ exitCode: 0, progress: ['6 of 6'] });
    expect((await cli('verify --lane standard')).progress).toEqual(['4 of 4']);
  });

  it('ends with 130 and changes nothing when a confirmation is interrupted', async () => {
    expect(await cli('clear', { isInteractive: true, answers: ['interrupted'] })).toMatchObject({
      exitCode: 130,
      notes: 'Nothing was done.',
    });
    expect(await json('keys')).toHaveLength(2);
  });

  it('shows its version', async () => {
    expect(await runCli(['--version'])).toMatchObject({ exitCode: 0, out: 'unknown' });
  });

  it.each([80, 100, 200])(
    'fits keys into %i columns, cuts them last and in the middle, and keeps tags whole',
    async (columns) => {
      const long = `report:${'x'.repeat(60)}`;
      await cache.set(`${long}:first`, 1, { tags: ['quarterly', 'finance', 'germany'] });
      await cache.set(`${long}:second`, 2, { tags: ['quarterly'] });
      const { out } = await cli('keys report:*', { isInteractive: true, columns });
      for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(columns);
      expect(out).toMatch(/:first/);
      expect(out).toMatch(/:second/);
      expect(out).toMatch(/quarterly/);
      expect(out).not.toMatch(/quarterl…|financ…|german…/);
      const wide = await cli('keys report:* --wide', { isInteractive: true, columns });
      expect(wide.out).toContain(`${long}:first`);
      expect(wide.out).toContain('quarterly, finance, germany');
    },
  );

  it('explains a call of a cached method', async () => {
    const { out } = await cli(['explain', '--method', 'Docs.render', '--args', '["intro"]', '--json'].join(' '));
    expect(JSON.parse(out)).toMatchObject({ key: expect.stringMatching(/^Docs\.render:/) });
    expect((await cli('explain')).exitCode).toBe(2);
    expect((await cli('explain --method Docs.render --args nonsense')).exitCode).toBe(2);
  });

  it('names the lanes that have a key which the default lane has not', async () => {
    const { out, notes } = await cli('explain model');
    expect(JSON.parse(out)).toMatchObject({ lane: 'standard', next: 'compute' });
    expect(notes).toBe("Lane 'ml' has this key. Name it with --lane ml.");
    expect((await cli('explain model --lane docs')).notes).toBe('');
    expect((await cli('explain nothing')).notes).toBe('');
  });

  it('makes control characters of keys visible instead of printing them', async () => {
    await cache.getOrSet('evil\u001b[2J\nkey', () => 1);
    const { out } = await cli('keys evil*', { isInteractive: true });
    expect(out).toContain('evil\\u001b[2J\\nkey');
    expect(out).not.toContain('\u001b');
  });

  it('asks before it removes, refuses without a terminal, and shows a dry run', async () => {
    for (const args of ['clear', 'invalidate user:1', 'cleanup', 'checkpoints rm run']) {
      expect(await cli(args)).toMatchObject({ exitCode: 5, out: '' });
      expect(await cli(args, { isInteractive: true, answers: ['no'] })).toMatchObject({
        exitCode: 5,
        out: '',
        asked: [expect.stringContaining('?')],
      });
      expect((await cli(`${args} --dry-run`)).exitCode).toBe(0);
    }
    expect(await json('clear --dry-run')).toEqual({ lane: 'standard', entries: 1, dryRun: true });
    expect(await json('invalidate --tag users --dry-run')).toEqual({ tags: ['users'], removed: 1, dryRun: true });
    expect(await json('invalidate --pattern user:* --dry-run')).toMatchObject({ removed: 1 });
    expect(await json('cleanup --max-age-days 0 --dry-run')).toMatchObject({ dryRun: true, removed: 2 });
    expect(await json('checkpoints rm run --dry-run')).toMatchObject({ removed: 2 });
    expect(await cache.has('user:1')).toBe(true);
    expect((await cache.getCheckpointCacheStatus()).versions).toBe(2);
  });

  it('lists pinned versions and entries of other lanes before it removes them', async () => {
    await cache.snapshots.pin('run', 1);
    const { asked } = await cli('checkpoints rm run', { answers: ['no'] });
    expect(asked).toEqual(["Remove 2 versions of 'run', including pinned ones?"]);
    await cache.forLane('ml').set('tagged', 1, { tags: ['users'] });
    expect(await json('invalidate --tag users --dry-run')).toMatchObject({ removed: 2 });
    expect(await json('invalidate --pattern * --dry-run --lane ml')).toMatchObject({ removed: 2 });
  });

  it('lists checkpoints page by page, and prints how to continue', async () => {
    const { out, notes } = await cli('checkpoints list --limit 1', { isInteractive: true });
    const [, after = ''] = /^There are more: --after (\S+)$/.exec(notes) ?? [];
    expect(out).toMatch(/run +v2/);
    expect((await cli(`checkpoints list --limit 1 --after ${after}`, { isInteractive: true })).out).toMatch(/run +v1/);
    expect(await json('checkpoints list --limit 1')).toMatchObject({ next: after });
  });

  it('removes the requested entries from a running app', async () => {
    expect(await json('invalidate user:1 --yes')).toMatchObject({ key: 'user:1', removed: 1, dryRun: false });
    expect(await cache.has('user:1')).toBe(false);
    await cache.set('a:1', 1, { tags: ['t'] });
    await cache.set('a:2', 2);
    expect(await json('invalidate --pattern a:2 --yes')).toMatchObject({ removed: 1 });
    await json('invalidate --tag t other --yes');
    expect(await cache.has('a:1')).toBe(false);
    await cache.set('b', 1);
    expect((await cli('clear', { answers: ['yes'] })).exitCode).toBe(0);
    expect(await cache.has('b')).toBe(false);
    expect(await cache.forLane('ml').has('model')).toBe(true);
    expect(await json('checkpoints rm run --version 1 --yes')).toMatchObject({ removed: 1 });
    expect(await json('cleanup --max-age-days 0 --yes')).toMatchObject({ removed: 1 });
  });

  it('shows a workflow with its steps, who saved them and how long they took', async () => {
    await cache.snapshots.runStep('run:3', () => 'x'.repeat(2_000), {
      workflow: 'nightly',
      step: 'third',
      lane: 'docs',
    });
    const { out } = await cli('checkpoints ls --workflow nightly', { isInteractive: true });
    const [head = '', ...rows] = out.split('\n');
    expect(head).toMatch(/step +id +version +saved +took +size +saved by/);
    expect(rows[0]).toMatch(new RegExp(`third +run:3 +v1 .*:${process.pid}`));
    expect(rows).toHaveLength(3);
    expect(await json('checkpoints list --workflow nightly')).toMatchObject({ items: [{ id: 'run:3' }, {}, {}] });
  });

  it('removes a workflow, so that it starts anew, and marks one as finished', async () => {
    expect(await json('checkpoints rm --workflow nightly --dry-run')).toEqual({
      workflow: 'nightly',
      removed: 2,
      dryRun: true,
    });
    await cache.snapshots.pin('run', 1);
    const { asked } = await cli('checkpoints rm --workflow nightly', { answers: ['no'] });
    expect(asked).toEqual(["Remove 2 versions of workflow 'nightly', including pinned ones, so that it starts anew?"]);
    expect((await cli('checkpoints rm run --workflow nightly')).exitCode).toBe(2);
    expect((await cli('checkpoints rm --workflow nightly --version 1')).exitCode).toBe(2);
    expect((await cli('checkpoints rm')).exitCode).toBe(2);
    expect(await json('checkpoints rm --workflow nightly --yes')).toMatchObject({ removed: 2, dryRun: false });
    expect(await cache.snapshots.restoreCheckpoint('run')).toBeUndefined();
    expect(await json('checkpoints finish nightly')).toEqual({ workflow: 'nightly', finished: true });
  });

  it('says why each version would go, and shows how far a cleanup is', async () => {
    const report = await json('cleanup --max-age-days 0 --keep-last 1 --dry-run');
    expect(report).toMatchObject({ removed: 1, checkpoints: [{ id: 'run', version: 1, reason: 'too-old' }] });
    expect(await json('cleanup --max-age-days 0 --keep-unfinished --dry-run')).toMatchObject({ removed: 1 });
    const shown = await cli('cleanup --max-age-days 0 --dry-run', { isInteractive: true });
    expect(shown.out).toMatch(/run +v2 +standard +.* ago +older than its lane keeps/);
    const done = await cli('cleanup --max-age-days 0', { isInteractive: true, answers: ['yes'] });
    expect(done).toMatchObject({ exitCode: 0, asked: [expect.stringContaining('2 versions')], progress: ['2 of 2'] });
  });

  it('cleans up a closed directory by the retention of its last app', async () => {
    await cache.close();
    cache = await CacheManager.fromSettings({
      directory,
      logger: false,
      checkpoints: { retention: { maxAgeDays: 0, keepLast: 1 } },
    });
    await cache.close();
    expect(await json('cleanup --dry-run')).toMatchObject({ removed: 1, checkpoints: [{ version: 1 }] });
    expect(await json('cleanup --yes')).toMatchObject({ removed: 1 });
  });

  it('never asks when called by --action, as scripts do', async () => {
    expect(await cli('--lane ml --action clear')).toMatchObject({ exitCode: 0 });
    expect(await cache.forLane('ml').has('model')).toBe(false);
    expect(await cli('--lane standard --action=cleanup')).toMatchObject({ exitCode: 0 });
  });

  it('exports a checkpoint to a new file that only this user can read', async () => {
    const file = join(directory, '..', 'run.json');
    expect((await cli(`checkpoints export run --version 2 --output ${file}`)).exitCode).toBe(0);
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ id: 'run', version: 2, state: { step: 2 } });
    expect((await stat(file)).mode & 0o077).toBe(0);
    expect((await cli(`checkpoints export run --output ${file}`)).exitCode).toBe(2);
    expect(await json('checkpoints export run')).toMatchObject({ version: 2 });
  });

  it('ends with the documented exit code', async () => {
    expect((await cli('metrics --lane nope')).exitCode).toBe(2);
    expect((await cli('nonsense')).exitCode).toBe(2);
    expect((await cli('keys --limit many')).exitCode).toBe(2);
    expect((await cli('invalidate')).exitCode).toBe(2);
    expect((await cli('invalidate key --tag both')).exitCode).toBe(2);
    expect((await cli('metrics --timeout never')).exitCode).toBe(2);
    expect((await runCli([])).exitCode).toBe(2);
    expect((await runCli(['metrics', '--directory', join(directory, 'nowhere')])).exitCode).toBe(3);
    const foreign = await bench.path('foreign');
    await mkdir(foreign);
    expect(await runCli(['metrics', '--directory', foreign])).toMatchObject({
      exitCode: 3,
      notes: expect.stringContaining('not the directory of a lane cache'),
    });
    for (const command of ['show', 'export', 'rm'])
      expect((await cli(`checkpoints ${command} nobody`)).exitCode).toBe(6);
    expect((await cli('checkpoints rm run --version 9')).exitCode).toBe(6);
    expect(await runCli(['--help'])).toMatchObject({ exitCode: 0, out: expect.stringContaining('Examples:') });
    expect((await runCli(['keys', '--help'])).out).toContain('--limit');
  });

  const COMMANDS = 'metrics status keys explain clear invalidate cleanup doctor verify bench'.split(' ');
  const OF_CHECKPOINTS = ['list', 'show', 'export', 'rm', 'finish'].map((name) => `checkpoints ${name}`);

  it.each([...COMMANDS, ...OF_CHECKPOINTS])(
    'has help for %s, with its options and examples that work',
    async (command) => {
      const { exitCode, out } = await runCli([...command.split(' '), '--help']);
      expect([exitCode, out]).toEqual([0, expect.stringContaining('--directory <path>')]);
      const examples = [...out.matchAll(/^ {2}npx nestjs-lane-cache ([^|\n]+)/gm)].map(([, call = '']) => call.trim());
      expect(examples[0]).toMatch(new RegExp(`^${command}\\b`));
      for (const example of examples) {
        const words = example.replaceAll("'", '').split(' ');
        const brief = command === 'bench' ? ['--iterations', '20', '--keys', '5'] : [];
        const ran = await runCli([...words, ...brief, '--dry-run', '--directory', directory]);
        expect(ran).not.toMatchObject({ exitCode: 2 });
        expect(ran).not.toMatchObject({ exitCode: 70 });
      }
    },
  );

  it('documents its usage and its exit codes in its help', async () => {
    const { out } = await runCli(['--help']);
    for (const command of COMMANDS) expect(out).toContain(`  npx nestjs-lane-cache ${command}`);
    for (const code of [0, 1, 2, 3, 4, 5, 6, 70]) expect(out).toMatch(new RegExp(`^ +${code} {2}\\w`, 'm'));
    expect((await runCli(['nonsense'])).notes).toContain('npx nestjs-lane-cache --help');
  });

  it('works on the directory of a stopped app, and prints how old its counters are', async () => {
    const live = cache.getMetrics();
    await cache.close();
    const { exitCode, out, notes } = await cli('metrics --lane ml');
    expect([exitCode, notes]).toEqual([0, expect.stringMatching(/^No app runs on this directory.* saved .* ago\.$/)]);
    expect(JSON.parse(out)).toMatchObject({
      lane: 'ml',
      requests: 1,
      l1: { state: 'off', reason: 'closed', entries: 0 },
      l3: { entries: 1 },
    });
    expect(JSON.parse((await cli('metrics')).out)).toMatchObject({
      lanes: { standard: { requests: live.requests, since: live.since } },
    });
    expect(JSON.parse((await cli('keys --lane ml')).out)).toMatchObject([{ key: 'model', tiers: ['l3'] }]);
    expect(JSON.parse((await cli('explain user:1')).out)).toMatchObject({ next: 'hit', answeredBy: 'l3' });
    expect(JSON.parse((await cli('clear --lane ml --yes')).out)).toMatchObject({ entries: 1 });
    expect(JSON.parse((await cli('keys')).out)).toHaveLength(1);
    expect(JSON.parse((await cli('checkpoints show run')).out)).toMatchObject({ state: { step: 2 } });
    expect((await cli('status')).notes).toMatch(/^No app runs on this directory/);
    const both = await Promise.all([cli('status'), cli('verify'), cli('keys')]);
    expect(both.map((one) => one.exitCode)).toEqual([0, 0, 0]);
    // reads by the command line are not counted for the app
    expect(JSON.parse((await cli('metrics')).out)).toMatchObject({ lanes: { standard: { requests: live.requests } } });
    cache = await CacheManager.fromSettings({ directory, logger: false, version: '7' });
    expect(await cache.get('user:1')).toBe('one');
  });
});
