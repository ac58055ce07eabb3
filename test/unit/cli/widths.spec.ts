import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { stripVTControlCharacters } from 'node:util';
import { CacheManager } from '../../../lib/app/cache-app.js';
import { fittedTable, wrapped } from '../../../lib/cli/texts.js';
import { runCli } from '../../support/fake-terminal.js';
import { StorageBench } from '../../support/storage.js';

const ID = 'nightly-report-of-the-northern-region/2026-11-27/part-0001';
const WORKFLOW = 'nightly-report-of-the-northern-region';

/** Each command that shows something. */
const COMMANDS = [
  'metrics',
  'metrics --verbose',
  'status',
  'keys',
  'explain user:1',
  'explain nothing',
  'clear --dry-run',
  'invalidate user:1 --dry-run',
  'invalidate --pattern user:* --dry-run',
  'invalidate --tag users --dry-run',
  'cleanup --dry-run --max-age-days 0',
  'doctor',
  'verify',
  'bench --iterations 20 --keys 5',
  'checkpoints list',
  `checkpoints list --workflow ${WORKFLOW}`,
  'checkpoints show short',
  'checkpoints rm short --dry-run',
  `checkpoints rm --workflow ${WORKFLOW} --dry-run`,
  '--help',
  'keys --help',
  'cleanup --help',
  'checkpoints list --help',
];

describe.each([80, 100, 200])('on a terminal of %i columns', (columns) => {
  const bench = new StorageBench();
  let directory: string;
  let cache: CacheManager;

  beforeAll(async () => {
    directory = await bench.path('cache');
    const lanes = { 'reports-of-the-year': { extends: 'standard', useCases: ['reports', 'charts'] } } as const;
    cache = await CacheManager.fromSettings({ directory, logger: false, lanes });
    await cache.getOrSet('user:1', () => 'one', { tags: ['users', 'people', 'everybody-who-has-an-account'] });
    for (let n = 0; n < 120; n++) await cache.getOrSet(`failing:${n % 3}`, () => () => 'no data');
    await cache.forLane('reports-of-the-year').getOrSet(`${'page/'.repeat(40)}end`, () => 'x');
    await cache.snapshots.cacheCheckpoint(ID, { step: 1 }, { workflow: WORKFLOW, step: 'collect-all-of-the-numbers' });
    await cache.snapshots.cacheCheckpoint('short', { step: 1 });
    await cache.flush();
  });
  afterAll(async () => {
    await cache.close();
    await bench.dispose();
  });

  const shown = async (command: string): Promise<readonly string[]> => {
    const words = [...command.split(' '), '--directory', directory];
    const { out, exitCode } = await runCli(words, { isInteractive: true, columns });
    expect([command, exitCode]).toEqual([command, command === 'doctor' ? 1 : 0]);
    return stripVTControlCharacters(out).split('\n');
  };

  it('no line of any command is longer, and none is empty of what it is about', async () => {
    const tooLong: string[] = [];
    for (const command of COMMANDS) {
      const lines = await shown(command);
      expect(lines.join('').length).toBeGreaterThan(10);
      for (const line of lines) if (line.length > columns) tooLong.push(`${command}: ${line}`);
    }
    expect(tooLong).toEqual([]);
  });

  it('lists show where ids begin and end, and whole ones if there is room', async () => {
    const listed = (await shown('checkpoints list')).find((line) => line.startsWith('nightly')) ?? '';
    expect(listed).toMatch(/^nightly\S+001 /);
    if (columns === 200)
      for (const whole of [ID, WORKFLOW, 'collect-all-of-the-numbers']) expect(listed).toContain(whole);
    const timeline =
      (await shown(`checkpoints list --workflow ${WORKFLOW}`)).find((line) => line.includes('001')) ?? '';
    expect(timeline).toMatch(new RegExp(`:${process.pid} *$`));
  });

  it('advice is broken between words', async () => {
    const lines = await shown('doctor');
    const advice = lines.join('\n').replaceAll(/\n {5}/g, ' ');
    expect(advice).toContain('unstorable');
    for (const { length } of lines) expect(length).toBeLessThanOrEqual(columns);
  });
});

describe('a table that has to fit', () => {
  const heads = [{ head: 'name', least: 4 }, { head: 'kind', leftOut: 1 }, { head: 'size' }];
  const rows = [['a-name-that-is-longer-than-the-others', 'kind', '5 MB']];

  it('cuts texts first, then leaves columns out and gives their room to texts, and cuts texts further at last', () => {
    const table = (columns: number): string => fittedTable(columns, heads, rows).split('\n')[1] ?? '';
    expect(table(60)).toBe('a-name-that-is-longer-than-the-others  kind  5 MB');
    expect(table(40)).toBe('a-name-that-is…an-the-others  kind  5 MB');
    expect(table(32)).toBe('a-name-that-i…n-the-others  5 MB');
    expect(table(14)).toBe('a-na…ers  5 MB');
  });

  it('counts no colours', () => {
    const painted = [['name', '\u001b[31mred\u001b[39m', '5 MB']];
    expect(fittedTable(18, heads, painted).split('\n')).toHaveLength(2);
    expect(stripVTControlCharacters(fittedTable(18, heads, painted))).toContain('red');
  });

  it('is beside text whose words stay whole, also long ones', () => {
    expect(wrapped('one two three', 7, '  ')).toBe('one two\n  three');
    expect(wrapped('saved 1.5 min of 4', 11, '  ')).toBe('saved\n  1.5 min\n  of 4');
    expect(wrapped('  a-word-without-end b', 5, '  ')).toBe('  a-word-without-end\n  b');
  });
});
