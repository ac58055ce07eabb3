import { isSoonRead, fingerprintOf, sinceClosed, CrashMarkers } from './crash-markers.js';
import { type Durability, StorageFault, isErrno, toFault } from '../environment.js';
import { probe, probeCopy, type ProbeOutcome } from './probe.js';
import { FreeSpaceLimit } from './free-space.js';
import { META_BYTES, META_PAGES, type Meta, parseMeta } from './meta-pages.js';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

/** Why a directory is set aside. */
export class CorruptError extends Error {}

/** What a directory may be opened for. `cause` says why not for more. */
export type Trust =
  { readonly may: 'write'; readonly onTrust: boolean } | { readonly may: 'read'; readonly cause: string };

export interface IntegrityCheckOptions {
  readonly directory: string;
  readonly durability: Durability;
  readonly onMarkerLeft: 'quarantine' | 'probe';
  readonly minFreeBytes?: number | undefined;
}

const SOUND: Trust = { may: 'write', onTrust: false };
/** It was not closed, and not read since. */
const TRUSTED: Trust = { may: 'write', onTrust: true };
/** An owner that used a directory for so long was not killed by its content. */
const LONG_LIFE_MS = 60_000;

/**
 * The trust in a file whose owner ended without closing it; undefined where a child process should read it first. A kill
 * does no harm to the file. Harm comes with the end of the machine, with a file that another one replaces, and from
 * a damaged page, which kills each owner soon after it has opened.
 */
const trustAfterKill = async (directory: string): Promise<Trust | undefined> => {
  const [left, looks] = [await CrashMarkers.unclosed(directory), await fingerprintOf(directory)];
  if (left === undefined || looks === undefined) return undefined;
  const livedLong = looks.mtimeMs - left.openedAt >= LONG_LIFE_MS;
  // Reading all of a large file would delay the next owner for seconds.
  if (livedLong && (left.isSameBootAndFile || !isSoonRead(looks))) return SOUND;
  return left.isSameBootAndFile && !left.onTrust ? TRUSTED : undefined;
};

/** Whether the directory had a file: a process has read from it, and closed it or not. */
const wasInUse = async (directory: string): Promise<boolean> =>
  (await CrashMarkers.unclosed(directory)) !== undefined || (await sinceClosed(directory)) !== 'unknown';

/**
 * Decides whether a directory is safe to open, before LMDB opens it in this process: a damaged data file ends the process
 * that reads or writes the wrong page. Meta pages are checked first, then the stamp of the last close or what the last owner left, and in doubt a child process
 * reads the file. Throws `CorruptError`, or `StorageFault` if it cannot be decided.
 */
export const checkIntegrity = async (options: IntegrityCheckOptions): Promise<Trust> => {
  const { directory, onMarkerLeft } = options;
  const isCache = onMarkerLeft === 'quarantine';
  const found = await preflight(directory);
  if (found.state === 'unsound') throw new CorruptError(found.cause);
  // an empty one in its place would pass for one in which nothing was ever saved
  if (found.state === 'absent' && (await wasInUse(directory)))
    throw new CorruptError('its data file is gone, or empty');
  if (found.state === 'absent' || found.state === 'fresh') return SOUND;
  const markerLeft = found.state === 'sound' && (await CrashMarkers.wasLeft(directory));
  if (markerLeft && isCache) throw new CorruptError('the last attempt to open it did not survive');
  const since = await sinceClosed(directory);
  if (found.state === 'sound' && !markerLeft && since === 'same') return SOUND;
  // not every harm shows by reading, and a cache can be had again
  if (isCache && since === 'changed') throw new CorruptError('it was changed after it was closed');
  const afterKill =
    found.state === 'sound' && !markerLeft && since === 'unknown' ? await trustAfterKill(directory) : undefined;
  if (afterKill !== undefined) return afterKill;
  const doubt = found.state === 'suspect' ? found.cause : undefined;
  return isCache ? trustInCache(options, doubt) : trustInCheckpoints(options, doubt);
};

/** `doubt`: what the meta pages leave open. */
const trustInCache = async ({ directory, durability }: IntegrityCheckOptions, doubt?: string): Promise<Trust> => {
  const outcome = await probe(directory, durability, 'write');
  if (outcome.state === 'survived') return SOUND;
  if (outcome.state === 'unknown' && doubt === undefined) return SOUND;
  throw new CorruptError(outcome.state === 'unknown' ? (doubt ?? outcome.why) : textOf(outcome));
};

/** Checkpoints that can be read in part are kept, and writing is tried on a copy, because they exist nowhere else. */
const trustInCheckpoints = async (options: IntegrityCheckOptions, doubt?: string): Promise<Trust> => {
  const { directory, durability, minFreeBytes } = options;
  const onCopy = await probeCopy(directory, durability, new FreeSpaceLimit(directory, minFreeBytes));
  if (onCopy.state === 'survived') return SOUND;
  const outcome = await probe(directory, durability, 'read');
  // A file without tables would pass for a new one, and its pages for free ones.
  if (outcome.state === 'died' || outcome.state === 'empty') throw new CorruptError(textOf(outcome));
  if (outcome.state === 'survived' || doubt === undefined)
    return onCopy.state === 'died'
      ? { may: 'read', cause: `a child process that wrote to a copy ${onCopy.how}` }
      : SOUND;
  const why = outcome.state === 'unknown' ? `could not be probed: ${outcome.why}` : `was probed, which ${outcome.how}`;
  throw new StorageFault('io', `${directory} ${why}. ${doubt}`);
};

const textOf = (outcome: ProbeOutcome): string =>
  'how' in outcome ? `a child process that read it ${outcome.how}` : 'none of its tables can be found';

/**
 * The verdict of the meta pages. `absent`: there is no file. `fresh`: only meta pages, as after a process that died while
 * it created the file. `suspect`: the file is too short, which kills a reader of the missing pages, or does no harm if
 * they are free. `unsound`: LMDB would crash.
 */
export type Preflight =
  | { readonly state: 'absent' }
  | { readonly state: 'fresh' }
  | { readonly state: 'sound' }
  | { readonly state: 'suspect' | 'unsound'; readonly cause: string };

const readMeta = async (file: FileHandle, position: number): Promise<Meta | undefined> => {
  const bytes = new Uint8Array(META_BYTES);
  const { bytesRead } = await file.read(bytes, 0, META_BYTES, position);
  return bytesRead < META_BYTES ? undefined : parseMeta(new DataView(bytes.buffer));
};

const corrupt = (cause: string): Preflight => ({ state: 'unsound', cause });

const inspect = async (file: FileHandle): Promise<Preflight> => {
  const status = await file.stat();
  if (!status.isFile()) return corrupt('data.mdb is not a file');
  if (status.size === 0) return { state: 'absent' };
  const first = await readMeta(file, 0);
  if (first === undefined) return corrupt('the first meta page is no meta page');
  const second = await readMeta(file, first.pageSize);
  if (second === undefined) return corrupt('the second meta page is no meta page');
  if (second.pageSize !== first.pageSize) return corrupt('the meta pages disagree about the size of a page');
  const newest = first.transaction > second.transaction ? first : second;
  const wanted = (newest.lastPage + 1n) * BigInt(newest.pageSize);
  if (BigInt(status.size) >= wanted) return { state: newest.lastPage < META_PAGES ? 'fresh' : 'sound' };
  return { state: 'suspect', cause: `data.mdb has ${status.size} bytes, its newest meta page speaks of ${wanted}` };
};

/**
 * Reads both meta pages of the data file of `directory` without LMDB. It never opens `lock.mdb`: closing a descriptor on
 * that file would drop the locks that this process holds on it.
 */
export const preflight = async (directory: string): Promise<Preflight> => {
  let file: FileHandle;
  try {
    file = await open(join(directory, 'data.mdb'), 'r');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return { state: 'absent' };
    throw toFault(error, `looking at ${directory} before opening it`);
  }
  try {
    return await inspect(file);
  } finally {
    await file.close();
  }
};
