import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Workshop } from '../support/child-process.js';

/** Starts an app again and again, with one more file descriptor left each time. */
const APP = `
import { closeSync, openSync } from 'node:fs';
import { CacheManager } from './lib/app/cache-app.js';
const open = (name) => CacheManager.fromSettings({ directory: process.argv[2] + '/' + name, logger: false });
await (await open('first')).close();
for (let left = 1; left <= 24; left++) {
  const held = [];
  try { for (;;) held.push(openSync('/dev/null')); } catch {}
  for (const file of held.splice(0, left)) closeSync(file);
  const cache = await open('cache-' + left);
  const value = await cache.getOrSet('k', () => left);
  for (const file of held) closeSync(file);
  console.log(String(value));
  await cache.close();
}`;

const LIMITED = ['sh', '-c', 'ulimit -n 96; exec "$@"', 'sh'];

describe('an app that starts while hardly any file descriptor is left', () => {
  const directory = mkdtempSync(join(tmpdir(), 'lane-cache-few-descriptors-'));
  let workshop: Workshop;
  beforeAll(async () => {
    workshop = await Workshop.build();
  });
  afterAll(async () => {
    await workshop.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  // LMDB ends the process when it finds a descriptor for its lock file, and none for its data file.
  it('computes, however many are left', async () => {
    const app = await workshop.run(APP, [directory], LIMITED);
    const { lines } = await app.end();
    expect(lines).toEqual(Array.from({ length: 24 }, (_, index) => `${index + 1}`));
  }, 60_000);
});
