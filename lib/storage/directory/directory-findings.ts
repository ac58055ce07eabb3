import { access, constants, lstat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Finding } from '../../errors/finding.js';
import { GROUP_AND_OTHERS, networkFileSystem, OTHERS_WRITE } from '../files/private-directory.js';
import { quarantinesOf } from '../files/quarantine.js';
import { defaultReserve } from '../lmdb/free-space.js';
import { bytesText } from '../../texts/amounts.js';

const OWN_FOLDERS = ['claims', 'sessions', 'log', 'l3', 'checkpoints'];

/** What is wrong with the directory in the file system. `checkpoints` is the folder of checkpoints. */
export async function directoryFindings(directory: string, checkpoints: string): Promise<readonly Finding[]> {
  const found = await Promise.all([
    rights(directory, OTHERS_WRITE),
    ...OWN_FOLDERS.map((name) => rights(join(directory, name), GROUP_AND_OTHERS)),
    volume(directory),
    quarantines(
      join(directory, 'l3'),
      'warning',
      'Do nothing unless it happens again; then check the volume. It is deleted after seven days.',
    ),
    quarantines(
      checkpoints,
      'error',
      'These checkpoints are damaged and are never deleted: recover what you can, then delete the folder.',
    ),
  ]);
  return found.flat();
}

async function rights(path: string, unwanted: number): Promise<readonly Finding[]> {
  const status = await lstat(path).catch(() => undefined);
  if (status === undefined) return [];
  const found: Finding[] = [];
  // The mode of a link has no meaning, and an app accepts no link as its directory.
  const hasMode = process.platform !== 'win32' && !status.isSymbolicLink();
  if (hasMode && (status.mode & unwanted) !== 0) {
    const mode = (status.mode & 0o777).toString(8);
    const advice = `Other users could ${unwanted === OTHERS_WRITE ? 'change' : 'read'} what is cached: chmod 700 '${path}'.`;
    found.push({ code: 'DIRECTORY_PERMISSIONS', severity: 'error', evidence: `'${path}' has mode ${mode}`, advice });
  }
  const isUsable = await access(path, constants.R_OK | constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  if (isUsable) return found;
  const advice = "Give it to the app's user, or run this as that user.";
  return [
    ...found,
    { code: 'DIRECTORY_NOT_WRITABLE', severity: 'error', evidence: `'${path}' cannot be read and written`, advice },
  ];
}

async function volume(directory: string): Promise<readonly Finding[]> {
  const { bavail, blocks, bsize, type } = await statfs(directory);
  const network = process.platform === 'linux' ? networkFileSystem(type) : undefined;
  return volumeFindings(directory, { freeBytes: bavail * bsize, sizeBytes: blocks * bsize, network });
}

/** `network` is the name of the file system, if it is a network file system. */
export function volumeFindings(
  directory: string,
  { freeBytes, sizeBytes, network }: { freeBytes: number; sizeBytes: number; network: string | undefined },
): readonly Finding[] {
  const found: Finding[] = [];
  if (network !== undefined) {
    const advice = 'Memory-mapped files are not reliable there: choose a directory on a local disk.';
    found.push({
      code: 'NETWORK_FILE_SYSTEM',
      severity: 'error',
      evidence: `'${directory}' is on ${network}`,
      advice,
    });
  }
  if (freeBytes >= defaultReserve(sizeBytes)) return found;
  const evidence = `the volume of '${directory}' has ${bytesText(freeBytes)} free`;
  const advice = "Below 'storage.minFreeBytes' nothing is written: free some space, or lower it.";
  return [...found, { code: 'DISK_SPACE', severity: 'error', evidence, advice }];
}

async function quarantines(path: string, severity: Finding['severity'], advice: string): Promise<readonly Finding[]> {
  const found = await quarantinesOf(path);
  return found.map(({ path: at, since }) => ({
    code: 'QUARANTINE',
    severity,
    evidence: `'${at}' was set aside as damaged at ${new Date(since).toISOString()}`,
    advice,
  }));
}
