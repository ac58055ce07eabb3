import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { rmSync, writeFileSync } from 'node:fs';
import { chmod, chown, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { edited, Workshop } from '../support/child-process.js';
import { FaultChild, lostOf, nothingYet, type Acknowledged, type Seen } from '../support/fault-child.js';
import { roundsOf, tell } from '../support/fault-table.js';
import { mountVolume } from '../support/mounts.js';
import { StorageBench } from '../support/storage.js';

const MEGABYTE = 1024 * 1024;

const fillUp = (path: string): void => {
  for (let size = 8 * MEGABYTE; size >= 4_096; size /= 2) {
    try {
      for (let n = 0; n < 64; n++) writeFileSync(join(path, `ballast-${size}-${n}`), Buffer.alloc(size));
    } catch {
      // that much did not fit any more
    }
  }
};
const freeUp = (path: string): void => {
  for (let size = 8 * MEGABYTE; size >= 4_096; size /= 2) {
    for (let n = 0; n < 64; n++) rmSync(join(path, `ballast-${size}-${n}`), { force: true });
  }
};

/** Fills and frees the volume without pause, so that no check of the free space can be relied on. */
const FILLER = `
import { writeFileSync, rmSync } from 'node:fs';
const path = process.argv[2];
console.log('filling');
for (let round = 0; ; round++) {
  let n = 0;
  try { for (; n < 400; n++) writeFileSync(path + '/filler-' + n, Buffer.alloc(n < 60 ? 1_000_000 : 16_384)); } catch {}
  await new Promise((resolve) => setTimeout(resolve, (round * 7) % 40));
  for (; n >= 0; n--) rmSync(path + '/filler-' + n, { force: true });
  await new Promise((resolve) => setTimeout(resolve, (round * 13) % 60));
}
`;

/** On a slow machine a disk is full for longer, and the next try would be a minute away. */
const SHORT_WAITS = new Map([['lib/tiers/store-supervisor.ts', edited('longestMs: 60_000', 'longestMs: 4_000')]]);

const badOf = ({ wrong, late, unhandled }: Seen): number => wrong + late + unhandled;

describe('a disk', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build(['lib'], SHORT_WAITS)));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  /** What the next process finds of what this one acknowledged. */
  const after = async (directory: string, acknowledged: Acknowledged, keys: number) => {
    const app = await FaultChild.start(workshop, { directory }, acknowledged);
    const checked = await app.ask('check', { invalidated: [...acknowledged.invalidated], keys });
    const lost = await lostOf(app, acknowledged);
    await app.ask('close');
    expect(await app.end('SIGTERM')).toBe('SIGTERM');
    return { lost, bad: badOf(checked), calls: checked.calls };
  };

  it.each(['tmpfs', 'ext4'] as const)(
    'that is full (%s) stops writes, not the app, and is written to again when there is room',
    async (kind) => {
      const volume = mountVolume(kind, 48);
      if (volume === undefined) return;
      try {
        const directory = join(volume.path, 'cache');
        const acknowledged = nothingYet();
        const app = await FaultChild.start(workshop, { directory }, acknowledged);
        await app.ask('fill', { keys: 100, bytes: 800 });
        // so small that the load itself does not fill the volume, however long it lasts
        await app.ask('start', { keys: 100, bytes: 20_000, stateBytes: 100 });
        await app.hear(20);
        fillUp(volume.path);
        expect(await app.ask('until', 'l3', 'off')).toBe('off');
        await app.hear(20);
        freeUp(volume.path);
        const freedAt = performance.now();
        for (const tier of ['l2', 'l3']) expect(await app.ask('until', tier, 'on')).toBe('on');
        const recoveredInMs = performance.now() - freedAt;
        const seen: Seen = await app.ask('stop');
        // so small a volume is full again now and then while older copies are being removed
        for (const tier of ['l2', 'l3']) expect(await app.ask('until', tier, 'on')).toBe('on');
        expect(await app.ask('save', 'afterwards', 1)).toBe(1);
        const events: string[] = await app.ask('events');
        const state = await app.ask('state');
        const status = await app.end('SIGKILL');
        const later = await after(directory, acknowledged, 100);
        const row = {
          rounds: 1,
          calls: seen.calls + later.calls,
          wrong: badOf(seen) + later.bad,
          lost: later.lost,
          crashes: status === 'SIGKILL' ? 0 : 1,
        };
        tell({ fault: `F5 full disk (${kind})`, ...row, recoveredInMs });
        expect({ ...row, errors: app.child.errors, state }).toMatchObject({
          wrong: 0,
          lost: 0,
          crashes: 0,
          errors: '',
          state: {
            l1: 'on',
            l2: 'on',
            l3: 'on',
          },
        });
        for (const tier of ['l2', 'l3', 'checkpoints']) {
          const reports = events.filter((event) => event.startsWith(tier));
          expect({ tier, reports, isBounded: reports.length <= 8 }).toMatchObject({ isBounded: true });
        }
      } finally {
        volume.unmount();
      }
    },
    600_000,
  );

  it.each(['tmpfs', 'ext4'] as const)(
    'that another process fills between the check and the write (%s) does not end the app',
    async (kind) => {
      const volume = mountVolume(kind, 48);
      if (volume === undefined) return;
      try {
        const directory = join(volume.path, 'cache');
        const acknowledged = nothingYet();
        const app = await FaultChild.start(workshop, { directory }, acknowledged);
        const filler = await workshop.run(FILLER, [volume.path]);
        await filler.line();
        await app.ask('start', { keys: 400, bytes: 30_000, changes: 4, saves: 5 });
        await app.hear(roundsOf(100, 5_000));
        await filler.end('SIGKILL');
        for (let n = 0; n < 400; n++) rmSync(join(volume.path, `filler-${n}`), { force: true });
        const freedAt = performance.now();
        for (const tier of ['l2', 'l3']) expect(await app.ask('until', tier, 'on')).toBe('on');
        const recoveredInMs = performance.now() - freedAt;
        const seen: Seen = await app.ask('stop');
        const status = await app.end('SIGKILL');
        const later = await after(directory, acknowledged, 400);
        const row = {
          rounds: 1,
          calls: seen.calls + later.calls,
          wrong: badOf(seen) + later.bad,
          lost: later.lost,
          crashes: status === 'SIGKILL' ? 0 : 1,
        };
        tell({ fault: `F5 disk filled and freed by another process (${kind})`, ...row, recoveredInMs });
        expect({ ...row, errors: app.child.errors }).toMatchObject({ wrong: 0, lost: 0, crashes: 0, errors: '' });
      } finally {
        volume.unmount();
      }
    },
    600_000,
  );

  it('that becomes read-only keeps its promises, or reports an error', async () => {
    const volume = mountVolume('tmpfs', 48);
    if (volume === undefined) return;
    try {
      const directory = join(volume.path, 'cache');
      const acknowledged = nothingYet();
      const app = await FaultChild.start(workshop, { directory }, acknowledged);
      await app.ask('fill', { keys: 100, bytes: 800 });
      // LMDB's descriptors keep a volume from becoming read-only, so the whole process sees it through another mount
      const readOnly = await FaultChild.start(workshop, { directory: join(volume.path, 'other') }, acknowledged);
      await readOnly.ask('close');
      await readOnly.end('SIGTERM');
      await app.ask('close');
      await app.end('SIGTERM');
      volume.remount('ro');
      const reader = await FaultChild.start(workshop, { directory }, acknowledged);
      const seen: Seen = await reader.ask('fill', { keys: 100, bytes: 800 });
      expect(await reader.ask('state')).toMatchObject({ l1: 'on', l2: 'off read-only', l3: 'off read-only' });
      const outcome = await reader.ask('invalidate', 'key:1');
      volume.remount('rw');
      await reader.ask('close');
      const status = await reader.end('SIGTERM');
      const later = await after(directory, acknowledged, 100);
      const row = {
        rounds: 1,
        calls: seen.calls + later.calls,
        wrong: badOf(seen) + badOf(outcome) + later.bad,
        lost: later.lost,
        crashes: status === 'SIGTERM' ? 0 : 1,
      };
      tell({ fault: 'F8 started on a read-only volume', ...row });
      expect(row).toMatchObject({ wrong: 0, lost: 0, crashes: 0 });
    } finally {
      volume.unmount();
    }
  }, 60_000);

  it('from which the directory is removed serves again from a fresh one, without a restart', async () => {
    const rounds = roundsOf(2);
    const sum = { calls: 0, wrong: 0, lost: 0, crashes: 0, recoveredInMs: 0 };
    for (let round = 0; round < rounds; round++) {
      const directory = await bench.path('cache');
      const acknowledged = nothingYet();
      const app = await FaultChild.start(workshop, { directory }, acknowledged);
      await app.ask('fill', { keys: 50, bytes: 800 });
      await app.ask('start', { keys: 50, saves: 0 });
      await app.hear(10);
      const removedAt = performance.now();
      if (round % 2 === 0) await rm(directory, { recursive: true, force: true, maxRetries: 5 });
      else await rename(directory, `${directory}-elsewhere`);
      await app.ask('until', 'l3', 'off');
      for (const tier of ['l2', 'l3']) expect(await app.ask('until', tier, 'on')).toBe('on');
      sum.recoveredInMs = Math.max(sum.recoveredInMs, performance.now() - removedAt);
      const seen: Seen = await app.ask('stop');
      sum.calls += seen.calls;
      sum.wrong += badOf(seen);
      await app.ask('fill', { keys: 50, bytes: 800 });
      if ((await app.end('SIGKILL')) !== 'SIGKILL') sum.crashes++;
      acknowledged.saved.clear();
      const later = await after(directory, acknowledged, 50);
      sum.wrong += later.bad;
      sum.calls += later.calls;
    }
    tell({ fault: 'F8 directory removed or renamed under the app', rounds, ...sum });
    expect(sum).toMatchObject({ wrong: 0, lost: 0, crashes: 0 });
  }, 1_800_000);

  it('on which the user may not write leaves the app with its memory', async () => {
    if (process.getuid?.() !== 0) return console.warn('Another user is not tried: only root may become one.');
    const directory = await bench.path('cache');
    await mkdir(directory, { mode: 0o500 });
    await chmod(join(directory, '..'), 0o755);
    await chown(directory, 65_534, 65_534);
    const user = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    const app = await FaultChild.start(workshop, { directory }, nothingYet(), user);
    const seen: Seen = await app.ask('fill', { keys: 50, bytes: 800 });
    expect(await app.ask('state')).toMatchObject({ l1: 'on' });
    expect(await app.ask('seen')).toMatchObject({ wrong: 0, late: 0, unhandled: 0 });
    await app.ask('close');
    const status = await app.end('SIGTERM');
    tell({
      fault: 'F8 not permitted',
      rounds: 1,
      calls: seen.calls,
      wrong: badOf(seen),
      lost: 0,
      crashes: status === 'SIGTERM' ? 0 : 1,
    });
    expect(status).toBe('SIGTERM');
  }, 60_000);
});
