import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Workshop } from '../support/child-process.js';
import { FaultChild, lostOf, nothingYet, type Acknowledged, type Seen } from '../support/fault-child.js';
import { roundsOf, tell } from '../support/fault-table.js';
import { mountVolume } from '../support/mounts.js';
import { StorageBench } from '../support/storage.js';

const KEYS = 100;
const badOf = ({ wrong, late, unhandled }: Seen): number => wrong + late + unhandled;
/** Another kernel, as far as a process can tell. */
const ANOTHER_BOOT = (file: string): readonly string[] => [
  'unshare',
  '--mount',
  'sh',
  '-c',
  `mount --bind ${file} /proc/sys/kernel/random/boot_id && exec "$0" "$@"`,
];

/** Who was the owner on another boot may be alive on another kernel, and is given half a minute to show it. */
const backdateClaims = async (claims: string): Promise<void> => {
  for (const name of (await readdir(claims)).filter((one) => one.endsWith('.claim')))
    await utimes(join(claims, name), 0, 0);
};

describe('a machine', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  /** What an app finds, on another boot, of what was acknowledged on the one before. */
  const after = async (directory: string, acknowledged: Acknowledged) => {
    if (process.env['LANE_CACHE_ROUNDS'] === undefined) await backdateClaims(join(directory, 'claims'));
    const bootId = join(await bench.path('boot'), '..', 'boot');
    await writeFile(bootId, '11111111-2222-3333-4444-555555555555\n');
    const startedAt = performance.now();
    const app = await FaultChild.start(workshop, { directory }, acknowledged, ANOTHER_BOOT(bootId));
    expect(await app.ask('until', 'l3', 'on')).toBe('on');
    const recoveredInMs = performance.now() - startedAt;
    const seen = await app.ask('check', { invalidated: [...acknowledged.invalidated], keys: KEYS });
    const lost = await lostOf(app, acknowledged);
    const events: string[] = await app.ask('events');
    await app.end('SIGKILL');
    return { lost, bad: badOf(seen), calls: seen.calls, hits: seen.hits, events, recoveredInMs };
  };

  it('that loses power keeps every checkpoint and invalidation that was acknowledged', async () => {
    const rounds = roundsOf(1, 20);
    const sum = { calls: 0, wrong: 0, lost: 0, crashes: 0, recoveredInMs: 0 };
    for (let round = 0; round < rounds; round++) {
      const volume = mountVolume('journaled ext4', 64);
      if (volume === undefined) return;
      const acknowledged = nothingYet();
      try {
        const app = await FaultChild.start(workshop, { directory: join(volume.path, 'cache') }, acknowledged);
        await app.ask('fill', { keys: KEYS, bytes: 800 });
        await app.ask('start', { keys: KEYS });
        await app.hear(40 + ((round * 7_919) % 300));
        app.child.signal('SIGSTOP');
        const cut = volume.afterPowerCut();
        try {
          await app.end('SIGKILL');
          const found = await after(join(cut.path, 'cache'), acknowledged);
          expect(found.events.filter((event) => event.startsWith('quarantine checkpoints'))).toEqual([]);
          sum.calls += found.calls;
          sum.wrong += found.bad;
          sum.lost += found.lost;
          sum.recoveredInMs = Math.max(sum.recoveredInMs, found.recoveredInMs);
        } finally {
          cut.unmount();
        }
      } finally {
        volume.unmount();
      }
    }
    tell({ fault: 'F11 power cut under load (journaled ext4)', rounds, ...sum });
    expect(sum).toMatchObject({ wrong: 0, lost: 0, crashes: 0 });
  }, 1_800_000);

  it('that loses power remembers what was invalidated beside the owner, and keeps the rest', async () => {
    const volume = mountVolume('journaled ext4', 64);
    if (volume === undefined) return;
    try {
      const directory = join(volume.path, 'cache');
      const acknowledged = nothingYet();
      const owner = await FaultChild.start(workshop, { directory }, nothingYet());
      await owner.ask('fill', { keys: KEYS, bytes: 800 });
      await owner.ask('save', 'flow', 1);
      const other = await FaultChild.start(workshop, { directory }, acknowledged);
      await other.ask('invalidate', 'key:3');
      const cut = volume.afterPowerCut();
      try {
        for (const app of [owner, other]) await app.end('SIGKILL');
        const { bad, hits, calls, recoveredInMs } = await after(join(cut.path, 'cache'), acknowledged);
        tell({
          fault: 'F11 power cut after an invalidation beside the owner',
          rounds: 1,
          calls,
          wrong: bad,
          lost: 0,
          crashes: 0,
          recoveredInMs,
        });
        expect(bad).toBe(0);
        expect(hits).toBeGreaterThan(0);
      } finally {
        cut.unmount();
      }
    } finally {
      volume.unmount();
    }
  }, 120_000);

  it('that was booted anew finds what L3 and the checkpoints held', async () => {
    if (process.getuid?.() !== 0) return console.warn('Another boot is not tried: only root may feign one.');
    const directory = await bench.path('cache');
    const acknowledged = nothingYet();
    const app = await FaultChild.start(workshop, { directory }, acknowledged);
    await app.ask('fill', { keys: KEYS, bytes: 800 });
    await app.ask('start', { keys: KEYS });
    await app.hear(60);
    await app.end('SIGKILL');
    const { hits, bad, lost, calls, events, recoveredInMs } = await after(directory, acknowledged);
    tell({ fault: 'F11 another boot id', rounds: 1, calls, wrong: bad, lost, crashes: 0, recoveredInMs });
    expect({ bad, lost }).toEqual({ bad: 0, lost: 0 });
    expect(hits).toBeGreaterThan(0);
    expect(events.filter((event) => event.startsWith('quarantine'))).toEqual([]);
  }, 120_000);

  it('whose disk turns read-only during writes continues, and writes again once the disk is repaired', async () => {
    const volume = mountVolume('journaled ext4', 64);
    if (volume === undefined) return;
    try {
      const acknowledged = nothingYet();
      const directory = join(volume.path, 'cache');
      const app = await FaultChild.start(workshop, { directory }, acknowledged);
      await app.ask('fill', { keys: KEYS, bytes: 800 });
      await app.ask('start', { keys: KEYS });
      await app.hear(40);
      if (!volume.breakDown()) return;
      for (const tier of ['l2', 'l3']) expect(await app.ask('until', tier, 'off')).toBe('off');
      const broken = await app.ask('state');
      volume.mend();
      const mendedAt = performance.now();
      for (const tier of ['l2', 'l3']) {
        const state = await app.ask('until', tier, 'on');
        expect({ tier, state, events: await app.ask('events') }).toMatchObject({ state: 'on' });
      }
      const recoveredInMs = performance.now() - mendedAt;
      const seen: Seen = await app.ask('stop');
      expect(await app.ask('until', 'checkpoints', 'on')).toBe('on');
      const lost = await lostOf(app, acknowledged);
      expect(await app.ask('save', 'afterwards', 1)).toBe(1);
      const status = await app.end('SIGKILL');
      const row = { calls: seen.calls, wrong: badOf(seen), lost, crashes: status === 'SIGKILL' ? 0 : 1 };
      tell({ fault: 'F8 disk that turns read-only in use', rounds: 1, ...row, recoveredInMs });
      expect({ ...row, broken }).toMatchObject({ wrong: 0, lost: 0, crashes: 0 });
    } finally {
      volume.unmount();
    }
  }, 180_000);
});
