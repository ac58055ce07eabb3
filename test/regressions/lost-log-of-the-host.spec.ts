import { afterEach, describe, expect, it } from '@jest/globals';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createLaneCache } from '../../lib/app/cache-app.js';
import { StorageBench } from '../support/storage.js';

describe('a log of the directory that was damaged', () => {
  const bench = new StorageBench();
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
    await bench.dispose();
  });

  const open = async (directory: string) => {
    const app = await createLaneCache({ directory, logger: false, storage: { minFreeBytes: 0, sweepEvery: false } });
    closing.push(() => app.close());
    return app;
  };
  const damage = async (directory: string): Promise<void> => {
    const folder = join(directory, 'log');
    for (const name of await readdir(folder)) await writeFile(join(folder, name), 'not a log');
  };
  const found = async (app: Awaited<ReturnType<typeof open>>) => {
    const findings = await app.operations.doctor();
    return findings.filter(({ code }) => code === 'HOST_LOG_LOST');
  };

  it('is a finding of the doctor, where a process that runs has dropped what it held', async () => {
    const app = await open(await bench.path('cache'));
    const cache = app.manager();
    await cache.set('k', 'value');
    expect(await found(app)).toEqual([]);
    await damage(app.metrics.report().host?.directory ?? '');
    expect(await cache.get('k')).toBeUndefined();
    expect(await found(app)).toMatchObject([{ severity: 'warning', evidence: expect.stringContaining('lost once') }]);
  });

  it('is a finding of the doctor, where a process that starts finds an L3 that it cannot trust', async () => {
    const directory = await bench.path('cache');
    const before = await open(directory);
    await before.manager().set('k', 'value');
    await before.manager().flush();
    await before.close();
    await damage(directory);
    const app = await open(directory);
    expect(await app.manager().get('k')).toBeUndefined();
    expect(await found(app)).toHaveLength(1);
  });

  it('is none while nothing happens to it', async () => {
    const directory = await bench.path('cache');
    const before = await open(directory);
    await before.manager().set('k', 'value');
    await before.manager().invalidate('other');
    await before.manager().flush();
    await before.close();
    const app = await open(directory);
    expect(await app.manager().get('k')).toBe('value');
    expect(await found(app)).toEqual([]);
  });
});
