import fs, { type Stats } from 'node:fs';
import { chmod, lstat, mkdir, statfs, open, type FileHandle } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { promisify } from 'node:util';
import { LaneCacheError } from '../../errors/lane-cache.error.js';
import { isErrno, toFault } from '../environment.js';

/** Linux's numbers of file systems on which LMDB's locks or maps do not work. */
const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xfe534d42, 'SMB2'],
  [0xff534d42, 'CIFS'],
  [0x01021997, '9p'],
  [0x65735546, 'FUSE'],
  [0x00c36400, 'Ceph'],
  [0x5346414f, 'AFS'],
  [0x73757245, 'Coda'],
  [0x564c, 'NCP'],
  [0x7461636f, 'OCFS2'],
  [0x01161970, 'GFS2'],
  [0x0bd00bd0, 'Lustre'],
  [0x19830326, 'BeeGFS'],
  [0x47504653, 'GPFS'],
  [0x786f4256, 'VirtualBox shared folder'],
  [0xbacbacbc, 'VMware shared folder'],
]);

/** The name of the network or user-space file system that statfs calls `type`; undefined if it is none. Linux only. */
export const networkFileSystem = (type: number): string | undefined => NETWORK_FILE_SYSTEMS.get(type >>> 0);

const unsuitable = (path: string, reason: string): LaneCacheError =>
  new LaneCacheError(
    'DIRECTORY_UNSUITABLE',
    `${path} cannot hold a cache: ${reason}. Choose another directory on a local disk, one that only this application uses.`,
    { field: 'directory' },
  );

const refuseNetwork = async (path: string): Promise<void> => {
  if (process.platform !== 'linux') return;
  const name = networkFileSystem((await statfs(path)).type);
  if (name !== undefined)
    throw unsuitable(path, `it lies on ${name}, where a memory-mapped file does not keep its promises`);
};

/** Rights that a folder of the library gives nobody. */
export const GROUP_AND_OTHERS = 0o077;
/** Rights that the directory of an app gives nobody. */
export const OTHERS_WRITE = 0o022;

/** What is done about the rights of an existing directory. */
export type ExistingRights = 'tighten' | 'keep';

const inspect = async (path: string, status: Stats, rights: ExistingRights): Promise<void> => {
  if (status.isSymbolicLink()) throw unsuitable(path, 'it is a symbolic link');
  if (!status.isDirectory()) throw unsuitable(path, 'it is not a directory');
  const uid = process.getuid?.();
  if (uid !== undefined) {
    if (status.uid !== uid)
      throw unsuitable(path, `it belongs to user ${status.uid}, this process runs as user ${uid}`);
    if (rights === 'tighten' && (status.mode & GROUP_AND_OTHERS) !== 0) await chmod(path, 0o700);
    if (rights === 'keep' && (status.mode & OTHERS_WRITE) !== 0)
      throw unsuitable(path, 'other users may write into it');
  }
  await refuseNetwork(path);
};

const find = async (path: string): Promise<Stats | undefined> => {
  try {
    return await lstat(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
};

/** Whether it was not there. */
const make = async (path: string): Promise<boolean> => {
  try {
    await mkdir(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  }
};

/**
 * Makes sure that `path` is a real directory of this user, for this user alone (0700), on a local file system; creates
 * it, and its parents, if need be, durably. Throws `DIRECTORY_UNSUITABLE` with the reason, or `StorageFault`.
 */
export const ensurePrivateDirectory = async (path: string, rights: ExistingRights = 'tighten'): Promise<void> => {
  try {
    const status = await find(path);
    if (status !== undefined) return await inspect(path, status, rights);
    const firstMade = await mkdir(dirname(path), { recursive: true });
    const isMade = await make(path);
    await inspect(path, await lstat(path), rights);
    if (isMade) await syncMade(path, firstMade ?? path);
  } catch (error) {
    throw error instanceof LaneCacheError ? error : toFault(error, `preparing ${path}`);
  }
};

/** By its descriptor: `sync` of the file handles of Yarn's Plug'n'Play throws. */
export const syncFile = ({ fd }: FileHandle): Promise<void> => promisify(fs.fsync)(fd);

/** Syncs `directory`, so that created, renamed and removed names survive a power failure. */
export const syncDirectory = async (directory: string): Promise<void> => {
  // Windows has no such thing as a directory's descriptor
  if (process.platform === 'win32') return;
  const handle = await open(directory, 'r');
  try {
    await syncFile(handle);
  } finally {
    await handle.close();
  }
};

const syncIfPermitted = async (directory: string): Promise<void> => {
  try {
    await syncDirectory(directory);
  } catch (error) {
    // Creating a directory in a folder does not need the right to read that folder.
    if (!isErrno(error, 'EACCES') && !isErrno(error, 'EPERM')) throw error;
  }
};

/** Like `syncDirectory`, for a new directory and its new parents from `first` on. */
export const syncMade = async (made: string, first: string): Promise<void> => {
  const end = dirname(resolve(first));
  for (let at = dirname(resolve(made)); ; at = dirname(at)) {
    await syncIfPermitted(at);
    if (at === end || at === dirname(at)) return;
  }
};
