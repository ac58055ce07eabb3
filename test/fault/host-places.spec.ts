import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Workshop } from '../support/child-process.js';
import { roundsOf } from '../support/fault-table.js';
import { HOST_STRESS, type HostStressSeen } from '../support/host-stress.js';
import { mountVolume } from '../support/mounts.js';
import { StorageBench } from '../support/storage.js';

/** Where the temporary folder is, the other specs run already. */
const FILE_SYSTEMS =
  process.env['LANE_CACHE_ROUNDS'] === undefined
    ? (['xfs', 'btrfs', 'overlayfs'] as const)
    : (['ext4', 'tmpfs', 'xfs', 'btrfs', 'overlayfs'] as const);

function canUnshare(): boolean {
  try {
    execFileSync('unshare', ['--pid', '--fork', '--mount-proc', 'true'], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
}

describe('processes that share a directory', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  const stress = async (directory: string, ...place: readonly string[]): Promise<void> => {
    const rounds = roundsOf(2, 20);
    const seed = String(Date.now() % 1_000_000);
    const args = [3, rounds * 60, rounds, Math.ceil(rounds / 2)].map(String);
    const child = await workshop.run(HOST_STRESS, [directory, ...args, seed, ...place]);
    const { status, lines } = await child.end();
    // It says so where it is stopped by a signal.
    const errors = child.errors.replaceAll(/^unshare: sigprocmask.*\n/gm, '');
    const seen: Partial<HostStressSeen> = JSON.parse(lines[0] ?? '{}');
    expect({ seed, status, errors, ...seen }).toMatchObject({
      ...{ status: 0, errors: '', stale: 0, refused: 0, lost: 0, crashes: 0, hangs: 0 },
    });
    expect(seen.kills).toBe(rounds);
  };

  it.each(FILE_SYSTEMS)(
    'serve nothing that any of them had invalidated before, on %s',
    async (kind) => {
      const volume = mountVolume(kind, 320);
      if (volume === undefined) return;
      try {
        await stress(join(volume.path, 'cache'));
      } finally {
        volume.unmount();
      }
    },
    120_000,
  );

  it('serve nothing that any of them had invalidated before, in a PID namespace each', async () => {
    if (!canUnshare()) return console.warn('PID namespaces are not tried: unshare is not permitted here.');
    await stress(await bench.path('cache'), 'apart');
  }, 120_000);
});
