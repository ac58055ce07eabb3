import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { CacheManager } from '../../../lib/app/cache-app.js';
import { sparkText } from '../../../lib/cli/top.js';
import { runCli } from '../../support/fake-terminal.js';
import { StorageBench } from '../../support/storage.js';

describe('what the terminal shows of a running app', () => {
  const bench = new StorageBench();
  let directory: string;
  let cache: CacheManager;

  beforeEach(async () => {
    directory = await bench.path('cache');
    cache = await CacheManager.fromSettings({ directory, logger: false, version: '7', storage: { minFreeBytes: 0 } });
    for (const _ of ['computed', 'hit', 'hit', 'hit']) await cache.getOrSet('key', () => 1);
  });
  afterEach(async () => {
    await cache.close();
    await bench.dispose();
  });

  it.each(['top --every 100ms', 'metrics --watch --every 100ms'])(
    '%s redraws the lanes until it is interrupted',
    async (args) => {
      const wish = { isInteractive: true, frames: 3, columns: 120 };
      const watching = runCli([...args.split(' '), '--directory', directory], wish);
      await cache.get('key');
      const { exitCode, out } = await watching;
      const frames = out.split('lane cache').slice(1);
      expect([exitCode, frames.length]).toEqual([0, 3]);
      for (const frame of frames) {
        expect(frame).toMatch(/standard .*\d\d\.\d %/);
        expect(frame).toContain('Nothing is wrong.');
      }
      expect(frames[2]).toMatch(/[▁█]{2}/);
    },
  );

  it('leaves no timer, which would keep the process running, when it is interrupted', async () => {
    const [started, cleared] = [jest.spyOn(globalThis, 'setTimeout'), jest.spyOn(globalThis, 'clearTimeout')];
    const { exitCode } = await runCli(['top', '--every', '1h', '--directory', directory], { isInteractive: true });
    const looks = started.mock.results.filter((_, at) => started.mock.calls[at]?.[1] === 3_600_000);
    const left = looks.filter(({ value }) => !cleared.mock.calls.some(([timer]) => timer === value));
    jest.restoreAllMocks();
    expect([exitCode, looks.length, left.length]).toEqual([0, 1, 0]);
  });

  it('fits into a narrow terminal', async () => {
    const { out } = await runCli(['top', '--directory', directory], { isInteractive: true, columns: 60 });
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(60);
    expect(out).toContain('standard');
  });

  it('writes a line of JSON for each state into a pipe', async () => {
    const { out } = await runCli(['top', '--every', '100ms', '--directory', directory], { frames: 2 });
    const states = out.split('\n').map((line): unknown => JSON.parse(line));
    expect(states).toHaveLength(2);
    expect(states[1]).toMatchObject({ lanes: { standard: { requests: 4, hitRate: 75, requestsPerSecond: 0 } } });
  });

  it('shows one lane, and refuses to look without a pause', async () => {
    const { out } = await runCli(['top', '--lane', 'docs', '--directory', directory]);
    expect(Object.keys(JSON.parse(out).lanes)).toEqual(['docs']);
    expect((await runCli(['top', '--every', '1ms', '--directory', directory])).exitCode).toBe(2);
  });

  it('shows the counters that an app left, once', async () => {
    await cache.close();
    const { exitCode, notes } = await runCli(['top', '--directory', directory], { isInteractive: true, frames: 9 });
    expect([exitCode, notes]).toEqual([0, expect.stringContaining('No app runs')]);
  });

  it('status shows the owner, the processes, the tiers and the checkpoints', async () => {
    await cache.snapshots.cacheCheckpoint('run', { step: 1 });
    const { out } = await runCli(['status', '--directory', directory]);
    expect(JSON.parse(out)).toMatchObject({
      versions: 1,
      host: { role: 'alone', processes: [{ pid: process.pid, role: 'owner', version: '7' }] },
      tiers: { l1: { on: ['docs', 'standard', 'heavy'] }, l3: { on: ['standard', 'heavy'], 'off: policy': ['docs'] } },
    });
    const text = (await runCli(['status', '--directory', directory], { isInteractive: true })).out;
    expect(text).toContain(`Process ${process.pid} owns`);
    expect(text).toContain('off: policy');
    expect(text).toContain('1 checkpoint in 1 version');
  });
});

describe('a spark line', () => {
  it('has the largest value at the top, and nothing at the bottom', () => {
    expect(sparkText([0, 1, 2, 4, 8])).toBe('▁▂▃▅█');
    expect(sparkText([0, 0])).toBe('▁▁');
    expect(sparkText([])).toBe('');
  });
});
