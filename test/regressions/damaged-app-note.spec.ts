import { afterEach, describe, expect, it } from '@jest/globals';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CacheManager } from '../../lib/app/cache-app.js';
import { runCli } from '../support/fake-terminal.js';
import { StorageBench } from '../support/storage.js';

type Note = Readonly<Record<string, unknown>>;

const DAMAGES: readonly (readonly [string, (note: Note) => unknown])[] = [
  ['without its numbers', (note) => ({ ...note, metrics: null })],
  ['with lanes that are none', (note) => ({ ...note, policies: [7, { lane: 'docs' }] })],
  ['with numbers of no tiers', (note) => ({ ...note, metrics: { lanes: { standard: {} } } })],
  ['without a time', ({ format, policies, metrics }) => ({ format, policies, metrics })],
  ['that is a list', () => []],
];

describe('the file in which an app describes itself', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  const closedApp = async (retention: { readonly maxAgeDays?: number } = {}) => {
    const directory = await bench.path('cache');
    const cache = await CacheManager.fromSettings({ directory, logger: false, checkpoints: { retention } });
    await cache.getOrSet('key', () => 'value');
    await cache.close();
    return { directory, file: join(directory, 'app.json') };
  };

  it.each(DAMAGES)('%s does not keep the command line from reading the directory', async (_, damage) => {
    const { directory, file } = await closedApp();
    await writeFile(file, JSON.stringify(damage(JSON.parse(await readFile(file, 'utf8')))));
    for (const command of ['metrics', 'keys', 'doctor']) {
      const { exitCode, notes } = await runCli([command, '--directory', directory]);
      expect([command, exitCode < 2 ? 'done' : notes]).toEqual([command, 'done']);
    }
    expect(JSON.parse((await runCli(['keys', '--directory', directory])).out)).toMatchObject([{ key: 'key' }]);
  });

  it('is whole where the app closes while it still writes the one of its start', async () => {
    const directory = await bench.path('cache');
    const lanes = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`lane${n}`, { extends: 'docs' }] as const));
    for (let round = 0; round < 20; round++) {
      const cache = await CacheManager.fromSettings({ directory, logger: false, checkpoints: false, lanes });
      await cache.getOrSet('key', () => 'value');
      await cache.close();
      const note: unknown = JSON.parse(await readFile(join(directory, 'app.json'), 'utf8'));
      expect(note).toMatchObject({ metrics: { lanes: { standard: { requests: 1 } } } });
    }
  });

  it('is whole where checkpoints are kept for ever', async () => {
    const { directory } = await closedApp({ maxAgeDays: Infinity });
    const { out } = await runCli(['metrics', '--lane', 'standard', '--directory', directory]);
    expect(JSON.parse(out)).toMatchObject({ requests: 1 });
  });
});
