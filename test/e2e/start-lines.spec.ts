import { afterEach, describe, expect, it } from '@jest/globals';
import type { LoggerService } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { StartSteps, whileStarting } from '../../lib/app/app-context.js';
import { CacheManager, LaneCacheModule, type LaneCacheModuleOptions } from '../../lib/index.js';
import { nextTurn } from '../../lib/clock/clock.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { Caches } from '../support/caches.js';
import { Deferred } from '../support/deferred.js';

const LEVELS = ['log', 'warn', 'error', 'debug'] as const;

/** A logger that keeps its lines by level. */
class Lines implements LoggerService {
  readonly of = new Map(LEVELS.map((level): [string, string[]] => [level, []]));
  readonly log = (text: string): void => void this.of.get('log')?.push(text);
  readonly warn = (text: string): void => void this.of.get('warn')?.push(text);
  readonly error = (text: string): void => void this.of.get('error')?.push(text);
  readonly debug = (text: string): void => void this.of.get('debug')?.push(text);

  get started(): readonly string[] {
    return (this.of.get('log') ?? []).filter((line) => line.startsWith('Started'));
  }
}

describe('the log of an app that starts', () => {
  const caches = new Caches();
  const apps: TestingModule[] = [];
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
    await caches.close();
  });

  /** Under Nest's own Logger, which hands on to the logger of the app. */
  const boot = async (options: LaneCacheModuleOptions): Promise<{ lines: Lines; cache: CacheManager }> => {
    const lines = new Lines();
    const building = Test.createTestingModule({ imports: [LaneCacheModule.forRoot(options)] }).setLogger(lines);
    const app = await (await building.compile()).init();
    apps.push(app);
    return { lines, cache: app.get(CacheManager) };
  };

  it('has one line with its lanes and its tiers', async () => {
    const { lines } = await boot({ directory: false, lanes: { models: { extends: 'heavy' } }, lane: 'models' });
    expect(lines.started).toEqual([
      'Started. Lanes: docs, standard, heavy, models (default). Directory: none. Tiers: l1 on, l2 not used, l3 not used, l4 not used.',
    ]);
  });

  it('names the directory and the role of each process in it', async () => {
    const directory = await caches.directory();
    const storage = { minFreeBytes: 0 } as const;
    const [first, second] = [await boot({ directory, storage }), await boot({ directory, storage })];
    const line = (role: string): string =>
      `Started. Lanes: docs, standard (default), heavy. Directory: '${directory}' (${role}). Tiers: l1 on, l2 on, l3 on, l4 not used.`;
    expect([first.lines.started, second.lines.started]).toEqual([[line('alone')], [line('follower')]]);
  });

  it('says that the directory cannot be used, and which tiers are off', async () => {
    const { lines } = await boot({ directory: '/dev/null/cache' });
    expect(lines.started).toEqual([
      expect.stringMatching(
        /Directory: '\/dev\/null\/cache' \(cannot be used now\)\. Tiers: l1 on, l2 off \([a-z-]+\), l3 off/,
      ),
    ]);
  });

  it('names the server of l4 without its password', async () => {
    const url = 'redis://user:secret@127.0.0.1:1/0';
    const { lines } = await boot({ directory: false, distributed: { url } });
    expect(lines.started).toEqual([expect.stringContaining('l4 off at redis://127.0.0.1:1 (disconnected).')]);
    expect([...lines.of.values()].flat().join()).not.toContain('secret');
  });

  it('has no such line with logger: false', async () => {
    const { lines } = await boot({ directory: false, logger: false });
    expect(lines.started).toEqual([]);
  });

  it('has the events of single keys at debug if the app asks for them, and else never', async () => {
    const [quiet, debug] = [await boot({ directory: false }), await boot({ directory: false, debug: true })];
    for (const { cache } of [quiet, debug]) for (let n = 0; n < 2; n++) await cache.getOrSet('k', () => 1);
    const named = ({ lines }: { readonly lines: Lines }): readonly string[] =>
      (lines.of.get('debug') ?? []).filter((line) => line.includes('key="k"')).map((line) => line.split(' ')[0] ?? '');
    expect([named(quiet), named(debug)]).toEqual([[], ['miss', 'compute', 'store', 'hit']]);
  });

  it('says what a slow start waits for, again and again, until it has it', async () => {
    const [clock, lines, slow] = [new FakeClock(), new Array<string>(), new Deferred<string>()];
    const note = (text: string): void => void lines.push(text);
    const steps = new StartSteps();
    const opened = whileStarting({ clock, note, purpose: 'serve', steps }, "it opens the directory '/c'", slow.promise);
    await clock.advance('999ms');
    expect(lines).toEqual([]);
    await clock.advance('6s');
    slow.resolve('opened');
    expect(await opened).toBe('opened');
    await nextTurn();
    await clock.advance('1h');
    expect(lines).toEqual([1, 6].map((s) => `Still starting, after ${s} s: it opens the directory '/c'.`));
  });

  it('names the parts of a slow start that have not ended', async () => {
    const [clock, lines, steps] = [new FakeClock(), new Array<string>(), new StartSteps()];
    const [first, second, all] = [new Deferred<void>(), new Deferred<void>(), new Deferred<void>()];
    const note = (text: string): void => void lines.push(text);
    const opened = whileStarting({ clock, note, purpose: 'serve', steps }, 'it opens x', all.promise);
    const parts = [steps.during('l3', first.promise), steps.during('the checkpoints', second.promise)];
    await clock.advance('1s');
    first.resolve();
    await parts[0];
    await clock.advance('5s');
    second.reject(new Error('no'));
    await expect(parts[1]).rejects.toThrow('no');
    await clock.advance('5s');
    all.resolve();
    await opened;
    expect(lines.map((line) => line.replace(/^.*it opens x/, ''))).toEqual([
      ' and waits for l3, the checkpoints.',
      ' and waits for the checkpoints.',
      '.',
    ]);
  });

  it('says so of an app whose directory takes long to open', async () => {
    const clock = new FakeClock();
    const lines = new Lines();
    const directory = await caches.directory();
    const opening = caches.open({ directory, clock, logger: lines });
    await clock.advance('1s');
    await opening;
    const start = `Still starting, after 1 s: it opens the directory '${directory}' and waits for `;
    expect(lines.of.get('log')).toContainEqual(expect.stringContaining(start));
  });
});
