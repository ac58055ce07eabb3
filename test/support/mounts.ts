import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

/** A small volume of its own, in which a disk can be full, read-only or broken. */
export interface Volume {
  readonly path: string;
  remount(how: 'ro' | 'rw'): void;
  unmount(): void;
}

/** One that lies in an image, and can fail as a disk does. */
export interface DiskVolume extends Volume {
  /**
   * From here on the system refuses every write, also to files that are open: it has found an error. False, with the
   * reason printed, where the system cannot be made to.
   */
  breakDown(): boolean;
  /** Puts the disk back in its place, as it was when it broke. */
  mend(): void;
  /** What would be there if the power failed now: what has been written to the disk, and not what was only handed over. */
  afterPowerCut(): DiskVolume;
}

type Kind = 'tmpfs' | 'ext4' | 'journaled ext4' | 'xfs' | 'btrfs' | 'overlayfs';

const run = (command: string, ...args: readonly string[]): string =>
  execFileSync(command, args, { stdio: 'pipe', encoding: 'utf8' });

const mountPoint = (): string => mkdtempSync(join(tmpdir(), 'lane-cache-volume-'));

const mountImage = (path: string): void => {
  run('mount', '-o', 'loop,errors=remount-ro', `${path}.img`, path);
};

/** The system would know the image again, and go on with the state in which it is in use. */
const copyImage = (from: string, to: string): void => {
  copyFileSync(`${from}.img`, `${to}.copy`);
  renameSync(`${to}.copy`, `${to}.img`);
};

const MAKE: Readonly<Record<Kind, (path: string, megabytes: number) => void>> = {
  tmpfs: (path, megabytes) => void run('mount', '-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path),
  ext4: (path, megabytes) => makeImage(path, megabytes, 'mkfs.ext4', '-q', '-m', '0', '-O', '^has_journal'),
  'journaled ext4': (path, megabytes) => makeImage(path, megabytes, 'mkfs.ext4', '-q', '-m', '0'),
  xfs: (path, megabytes) => makeImage(path, megabytes, 'mkfs.xfs', '-q'),
  btrfs: (path, megabytes) => makeImage(path, megabytes, 'mkfs.btrfs', '-q'),
  overlayfs: (path, megabytes) => {
    const layers = `${path}.layers`;
    mkdirSync(layers);
    MAKE.tmpfs(layers, megabytes);
    const [lower, upper, work] = ['lower', 'upper', 'work'].map((name) => join(layers, name));
    for (const layer of [lower, upper, work]) mkdirSync(String(layer));
    run('mount', '-t', 'overlay', '-o', `lowerdir=${lower},upperdir=${upper},workdir=${work}`, 'overlay', path);
  },
};

function makeImage(path: string, megabytes: number, ...make: readonly [string, ...string[]]): void {
  const [program, ...args] = make;
  run('truncate', '-s', `${megabytes}m`, `${path}.img`);
  run(program, ...args, `${path}.img`);
  if (program === 'mkfs.ext4') mountImage(path);
  else run('mount', '-o', 'loop', `${path}.img`, path);
}

function removeAll(path: string): void {
  const layers = `${path}.layers`;
  if (existsSync(layers)) spawnSync('umount', ['-l', layers]);
  for (const left of [path, `${path}.img`, layers]) rmSync(left, { recursive: true, force: true });
}

function mounted(path: string): DiskVolume {
  return {
    path,
    remount: (how) => void run('mount', '-o', `remount,${how}`, path),
    unmount: () => {
      run('umount', '-l', path);
      removeAll(path);
    },
    breakDown: () => {
      try {
        const device = run('findmnt', '-n', '-o', 'SOURCE', path).trim();
        writeFileSync(`/sys/fs/ext4/${basename(device)}/trigger_fs_error`, '1');
        return true;
      } catch (error) {
        console.warn(`A disk that breaks down is not tried: ${error instanceof Error ? error.message : String(error)}`);
        return false;
      }
    },
    mend: () => {
      run('umount', '-l', path);
      copyImage(path, path);
      // 1: errors were found and mended
      const { status } = spawnSync('e2fsck', ['-fy', `${path}.img`], { stdio: 'ignore' });
      if (status !== 0 && status !== 1) throw new Error(`e2fsck ended with ${status}`);
      mountImage(path);
    },
    afterPowerCut: () => {
      const copy = mountPoint();
      copyImage(path, copy);
      mountImage(copy);
      return mounted(copy);
    },
  };
}

/** `undefined` where it cannot be mounted; says why, so that a quiet skip is not taken for a pass. */
export function mountVolume(kind: Kind, megabytes: number): DiskVolume | undefined {
  const path = mountPoint();
  try {
    if (process.getuid?.() !== 0 || process.platform !== 'linux') throw new Error('only root may mount');
    MAKE[kind](path, megabytes);
    return mounted(path);
  } catch (error) {
    console.warn(`A volume of ${kind} is not tried: ${error instanceof Error ? error.message : String(error)}`);
    removeAll(path);
    return undefined;
  }
}
