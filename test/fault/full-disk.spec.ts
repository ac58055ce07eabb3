import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Workshop } from '../support/child-process.js';

/** Fills the volume through the environment, then from outside, frees it again, and prints what every step did. */
const WRITER = `
import { rmSync, writeFileSync } from 'node:fs';
import { systemClock } from './lib/clock/clock.js';
import { openEnvironment } from './lib/storage/lmdb/open-environment.js';
const [mount, durability, minFreeBytes] = process.argv.slice(2);
let unhandled = 0;
process.on('unhandledRejection', () => unhandled++);
const report = { fault() {}, quarantined() {} };
const environment = await openEnvironment({ directory: mount + '/env', durability, clock: systemClock, report,
  minFreeBytes: minFreeBytes === '' ? undefined : Number(minFreeBytes), onMarkerLeft: 'quarantine' });
const table = environment.table('t');
const acked = [];
const kinds = new Set();
const put = (key, bytes) => environment.commit((transaction) => transaction.put(table, key, Buffer.alloc(bytes, 7))).then(
  () => acked.push(key), (error) => kinds.add(error.name + ' ' + error.kind));
for (let n = 0; n < 200; n++) await Promise.all([put('a' + n, 100_000), put('b' + n, 30_000), put('c' + n, 200)]);
const whileFull = kinds.size;
try { writeFileSync(mount + '/ballast', Buffer.alloc(64 * 1024 * 1024)); } catch {}
await Promise.all([put('late', 100), put('later', 100_000)]);
const kept = acked.filter((key) => table.get(key) !== undefined).length;
rmSync(mount + '/ballast', { force: true });
for (let n = 0; n < acked.length; n += 50) {
  const remove = (transaction) => { for (const key of acked.slice(n, n + 50)) transaction.remove(table, key); };
  await environment.commit(remove).catch((error) => kinds.add('remove ' + error.kind));
}
const before = acked.length;
await put('after', 20_000);
await new Promise((resolve) => setTimeout(resolve, 50));
await environment.close();
console.log(JSON.stringify({ whileFull, kinds: [...kinds], lost: before - kept, recovered: acked.length > before, unhandled }));
`;

/** Fills the volume in the very turn in which a transaction was accepted, before LMDB writes it, and frees it again. */
const RACER = `
import { rmSync, writeFileSync } from 'node:fs';
import { systemClock } from './lib/clock/clock.js';
import { openEnvironment } from './lib/storage/lmdb/open-environment.js';
const [mount, durability] = process.argv.slice(2);
let unhandled = 0;
process.on('unhandledRejection', () => unhandled++);
const environment = await openEnvironment({ directory: mount + '/env', durability, clock: systemClock,
  report: { fault() {}, quarantined() {} }, minFreeBytes: 0, onMarkerLeft: 'quarantine' });
const table = environment.table('t');
const fill = () => { for (let size = 4_194_304; size >= 512; size /= 2) for (let n = 0; n < 40; n++) try { writeFileSync(mount + '/ballast-' + size + '-' + n, Buffer.alloc(size)); } catch { break; } };
const free = () => { for (let size = 4_194_304; size >= 512; size /= 2) for (let n = 0; n < 40; n++) rmSync(mount + '/ballast-' + size + '-' + n, { force: true }); };
const kinds = new Set();
let lost = 0;
for (let n = 0; n < 12; n++) {
  const bytes = 30_000 * (n + 1);
  const commit = environment.commit((transaction) => transaction.put(table, 'k' + n, Buffer.alloc(bytes, n)));
  fill();
  const outcome = await commit.then(() => 'written', (error) => { kinds.add(error.name + ' ' + error.kind); return 'refused'; });
  if ((outcome === 'written') !== (table.get('k' + n) !== undefined)) lost++;
  free();
}
await environment.commit((transaction) => transaction.put(table, 'after', Buffer.alloc(400_000)));
await environment.close();
kinds.delete('StorageFault disk-full');
console.log(JSON.stringify({ kinds: [...kinds], lost, unhandled }));
`;

const asRoot = process.getuid?.() === 0 && process.platform === 'linux';

/** Whether `prepare` can mount here; says why not, so that a quiet skip is not taken for a pass. */
const mounted = (what: string, prepare: (mount: string) => void): string | undefined => {
  const mount = mkdtempSync(join(tmpdir(), 'lane-cache-mount-'));
  try {
    if (!asRoot) throw new Error('only root may mount');
    prepare(mount);
    return mount;
  } catch (error) {
    console.warn(`${what} is not tried: ${error instanceof Error ? error.message : String(error)}`);
    rmSync(mount, { recursive: true, force: true });
    return undefined;
  }
};

const unmount = (mount: string): void => {
  execFileSync('umount', [mount]);
  rmSync(mount, { recursive: true, force: true });
};

const tmpfs = (mount: string): void => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', mount], { stdio: 'pipe' });
};

const ext4 = (mount: string): void => {
  const image = `${mount}.img`;
  try {
    execFileSync('truncate', ['-s', '16m', image], { stdio: 'pipe' });
    execFileSync('mkfs.ext4', ['-q', '-O', '^has_journal', image], { stdio: 'pipe' });
    execFileSync('mount', ['-o', 'loop', image, mount], { stdio: 'pipe' });
  } finally {
    rmSync(image, { force: true });
  }
};

describe('a full disk', () => {
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());

  it.each([
    ['tmpfs', 'durable', ''],
    ['tmpfs', 'session', ''],
    ['tmpfs', 'durable', '0'],
    ['ext4', 'durable', ''],
    ['ext4', 'session', ''],
  ])(
    'on %s with a %s environment refuses writes, loses nothing, and is over when there is room',
    async (kind, durability, minFree) => {
      const mount = mounted(`a full ${kind}`, kind === 'tmpfs' ? tmpfs : ext4);
      if (mount === undefined) return;
      try {
        const child = await workshop.run(WRITER, [mount, durability, minFree]);
        const { status, lines } = await child.end();
        expect({ status, errors: child.errors, ...JSON.parse(lines[0] ?? '{}') }).toEqual({
          status: 0,
          errors: '',
          whileFull: 1,
          kinds: ['StorageFault disk-full'],
          lost: 0,
          recovered: true,
          unhandled: 0,
        });
      } finally {
        unmount(mount);
      }
    },
  );

  it.each([
    ['tmpfs', 'durable'],
    ['ext4', 'durable'],
    ['ext4', 'session'],
  ])(
    'that fills up between the check and the write kills no process and loses nothing (%s, %s)',
    async (kind, durability) => {
      const mount = mounted(`a full ${kind}`, kind === 'tmpfs' ? tmpfs : ext4);
      if (mount === undefined) return;
      try {
        const child = await workshop.run(RACER, [mount, durability]);
        const { status, lines } = await child.end();
        expect({ status, errors: child.errors, ...JSON.parse(lines[0] ?? '{}') }).toEqual({
          status: 0,
          errors: '',
          kinds: [],
          lost: 0,
          unhandled: 0,
        });
      } finally {
        unmount(mount);
      }
    },
  );
});
