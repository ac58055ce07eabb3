import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A small volume of its own, in which a disk can be full or read-only. */
export interface Volume {
  readonly path: string;
  remount(how: 'ro' | 'rw'): void;
  unmount(): void;
}

const run = (command: string, ...args: readonly string[]): void => {
  execFileSync(command, args, { stdio: 'pipe' });
};

const MOUNTS = {
  tmpfs: (path: string, megabytes: number) => run('mount', '-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path),
  ext4: (path: string, megabytes: number) => {
    const image = `${path}.img`;
    try {
      run('truncate', '-s', `${megabytes}m`, image);
      run('mkfs.ext4', '-q', '-m', '0', '-O', '^has_journal', image);
      run('mount', '-o', 'loop', image, path);
    } finally {
      rmSync(image, { force: true });
    }
  },
} as const;

/** `undefined` where it cannot be mounted; says why, so that a quiet skip is not taken for a pass. */
export const mountVolume = (kind: keyof typeof MOUNTS, megabytes: number): Volume | undefined => {
  const path = mkdtempSync(join(tmpdir(), 'lane-cache-volume-'));
  try {
    if (process.getuid?.() !== 0 || process.platform !== 'linux') throw new Error('only root may mount');
    MOUNTS[kind](path, megabytes);
  } catch (error) {
    console.warn(`A volume of ${kind} is not tried: ${error instanceof Error ? error.message : String(error)}`);
    rmSync(path, { recursive: true, force: true });
    return undefined;
  }
  return {
    path,
    remount: (how) => run('mount', '-o', `remount,${how}`, path),
    unmount: () => {
      run('umount', '-l', path);
      rmSync(path, { recursive: true, force: true });
    },
  };
};
