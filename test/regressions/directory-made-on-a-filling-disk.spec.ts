import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Workshop } from '../support/child-process.js';
import { roundsOf } from '../support/fault-table.js';
import { mountVolume } from '../support/mounts.js';

/** Keeps a volume full, apart from moments in which some room is free. */
const FILLER = `
import { appendFileSync, rmSync } from 'node:fs';
const fileOf = (number) => process.argv[2] + '/filler-' + (number % 50);
const page = Buffer.alloc(4096);
console.log('ready');
for (let number = 0; ; number++) {
  try { for (;;) appendFileSync(fileOf(number), page); } catch {}
  const until = performance.now() + Math.random() * 15;
  while (performance.now() < until);
  rmSync(fileOf(number), { force: true });
  rmSync(fileOf(number * 7), { force: true });
  await new Promise((next) => setImmediate(next));
}`;

/** Makes new directories all the time. */
const APP = `
import { rmSync } from 'node:fs';
import { CacheManager } from './lib/app/cache-app.js';
const storage = { minFreeBytes: 0, sweepEvery: false };
for (let made = 0; made < Number(process.argv[3]); made++) {
  const directory = process.argv[2] + '/cache-' + (made % 3);
  rmSync(directory, { recursive: true, force: true });
  const cache = await CacheManager.fromSettings({ directory, logger: false, storage }).catch(() => undefined);
  await cache?.close();
}
console.log('done');`;

describe('a directory that is made while another process fills the disk', () => {
  let workshop: Workshop;
  beforeAll(async () => {
    workshop = await Workshop.build();
  });
  afterAll(() => workshop.dispose());

  // LMDB wrote the first pages of its file itself. Where they found no room, it ended the process.
  it('does not end the process', async () => {
    const volume = mountVolume('tmpfs', 6);
    if (volume === undefined) return;
    try {
      const filler = await workshop.run(FILLER, [volume.path]);
      expect(await filler.line()).toBe('ready');
      const app = await workshop.run(APP, [volume.path, String(roundsOf(50, 150))]);
      expect(await app.line()).toBe('done');
      await filler.end('SIGKILL');
    } finally {
      volume.unmount();
    }
  }, 120_000);
});
