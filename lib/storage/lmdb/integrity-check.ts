import { open, type FileHandle, readdir, rename, rm, stat, writeFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { endianness } from 'node:os';
import { crc32 } from 'node:zlib';
import { readFileSync, readlinkSync } from 'node:fs';
import { type Durability, StorageFault, isErrno, orFault, toFault } from '../environment.js';
import { type HeldFolder, probe, probeCopy, type ProbeOutcome } from './probe.js';
import { FreeSpaceLimit } from './free-space.js';

/** Why a directory is set aside. */
export class CorruptError extends Error {}

/** What a directory may be opened for. `cause` says why not for more. */
type Trust = { readonly may: 'write'; readonly onTrust: boolean } | { readonly may: 'read'; readonly cause: string };

interface IntegrityCheckOptions {
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
const trustAfterKill = async (directory: string, markers: Markers): Promise<Trust | undefined> => {
  const [left, looks] = [await CrashMarkers.unclosed(directory, markers), await fingerprintOf(directory)];
  if (left === undefined || looks === undefined) return undefined;
  const livedLong = looks.mtimeMs - left.openedAt >= LONG_LIFE_MS;
  // Reading all of a large file would delay the next owner for seconds.
  if (livedLong && (left.isSameBootAndFile || !isSoonRead(looks))) return SOUND;
  return left.isSameBootAndFile && !left.onTrust ? TRUSTED : undefined;
};

/** Whether the directory had a file: a process has read from it, and closed it or not. */
const wasInUse = ({ markers, since }: Leftovers): boolean => CrashMarkers.showUse(markers) || since !== 'unknown';

/**
 * Decides whether the folder of a directory is safe to open, before LMDB opens it in this process: a damaged data file ends the process
 * that reads or writes the wrong page. Meta pages are checked first, then the stamp of the last close or what the last owner left, and in doubt a child process
 * reads the file. Throws `CorruptError`, or `StorageFault` if it cannot be decided.
 */
export const checkIntegrity = async (
  options: IntegrityCheckOptions,
  held: HeldFolder,
  left: Leftovers,
): Promise<Trust> => {
  const { onMarkerLeft } = options;
  const isCache = onMarkerLeft === 'quarantine';
  const found = await preflight(held.path);
  if (found.state === 'unsound') throw new CorruptError(found.cause);
  // an empty one in its place would pass for one in which nothing was ever saved
  if (found.state === 'absent' && wasInUse(left)) throw new CorruptError('its data file is gone, or empty');
  if (found.state === 'absent' || found.state === 'fresh') return SOUND;
  const { since } = left;
  const diedOpening = CrashMarkers.showDeath(left.markers);
  if (found.state === 'sound' && diedOpening && isCache)
    throw new CorruptError('the last attempt to open it did not survive');
  const isUndoubted = found.state === 'sound' && !diedOpening;
  if (isUndoubted && since === 'same') return SOUND;
  // not every harm shows by reading, and a cache can be had again
  if (isCache && since === 'changed') throw new CorruptError('it was changed after it was closed');
  const afterKill = isUndoubted && since === 'unknown' ? await trustAfterKill(held.path, left.markers) : undefined;
  if (afterKill !== undefined) return afterKill;
  const doubt = found.state === 'suspect' ? found.cause : undefined;
  return isCache ? trustInCache(options, held, doubt) : trustInCheckpoints(options, held, doubt);
};

/** `doubt`: what the meta pages leave open. */
const trustInCache = async (
  { durability }: IntegrityCheckOptions,
  held: HeldFolder,
  doubt?: string,
): Promise<Trust> => {
  const outcome = await probe(held, durability, 'write');
  if (outcome.state === 'survived') return SOUND;
  if (outcome.state === 'unknown' && doubt === undefined) return SOUND;
  throw new CorruptError(outcome.state === 'unknown' ? (doubt ?? outcome.why) : textOf(outcome));
};

/** Checkpoints that can be read in part are kept, and writing is tried on a copy, because they exist nowhere else. */
const trustInCheckpoints = async (options: IntegrityCheckOptions, held: HeldFolder, doubt?: string): Promise<Trust> => {
  const { directory, durability, minFreeBytes } = options;
  const onCopy = await probeCopy(directory, held, durability, new FreeSpaceLimit(directory, minFreeBytes));
  if (onCopy.state === 'survived') return SOUND;
  const outcome = await probe(held, durability, 'read');
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
type Preflight =
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
const preflight = async (directory: string): Promise<Preflight> => {
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

/*
 * The two meta pages with which a data file of LMDB begins, in the byte order of the machine. LMDB writes them in turns, so
 * that one of them is always whole.
 */

const META_BYTES = 192;
const META_PAGES = 2n;

const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const MIN_PAGE = 512;
const MAX_PAGE = 65_536;
const META_FLAG = 0x08;
/** Offsets within a meta page. The first 24 bytes are the header that each page has. */
const AT = {
  page: 0,
  flags: 18,
  magic: 24,
  version: 28,
  mapBytes: 40,
  pageSize: 48,
  freeListFlags: 52,
  freeListRoot: 88,
  mainTableRoot: 136,
  lastPage: 144,
  transaction: 152,
} as const;

/** What a meta page states. */
interface Meta {
  readonly pageSize: number;
  readonly lastPage: bigint;
  readonly transaction: bigint;
}

const littleEndian = endianness() === 'LE';

/** Undefined for bytes that are no meta page. */
export const parseMeta = (bytes: DataView): Meta | undefined => {
  if (bytes.getUint32(AT.magic, littleEndian) !== MAGIC) return undefined;
  if ((bytes.getUint16(AT.flags, littleEndian) & META_FLAG) === 0) return undefined;
  // the upper half of the word is a flag of lmdb-js's own
  if ((bytes.getUint32(AT.version, littleEndian) & 0xffff) !== DATA_VERSION) return undefined;
  const pageSize = bytes.getUint32(AT.pageSize, littleEndian);
  if (pageSize < MIN_PAGE || pageSize > MAX_PAGE || (pageSize & (pageSize - 1)) !== 0) return undefined;
  return {
    pageSize,
    lastPage: bytes.getBigUint64(AT.lastPage, littleEndian),
    transaction: bytes.getBigUint64(AT.transaction, littleEndian),
  };
};

const PAGE_SIZE = 4096;
/** The map of an empty file. LMDB enlarges it as the file grows. */
const MAP_BYTES = 131_072n;
const BY_NUMBER = 0x08;
const NO_PAGE = -1n;

/** A data file without tables, as LMDB itself makes it on a machine whose pages have 4 KB. */
export const emptyDataFile = (): Uint8Array => {
  const file = new Uint8Array(Number(META_PAGES) * PAGE_SIZE);
  for (let page = 0n; page < META_PAGES; page++) {
    const bytes = new DataView(file.buffer, Number(page) * PAGE_SIZE, PAGE_SIZE);
    bytes.setBigUint64(AT.page, page, littleEndian);
    bytes.setUint16(AT.flags, META_FLAG, littleEndian);
    bytes.setUint32(AT.magic, MAGIC, littleEndian);
    bytes.setUint32(AT.version, DATA_VERSION, littleEndian);
    bytes.setBigUint64(AT.mapBytes, MAP_BYTES, littleEndian);
    bytes.setUint32(AT.pageSize, PAGE_SIZE, littleEndian);
    bytes.setUint16(AT.freeListFlags, BY_NUMBER, littleEndian);
    bytes.setBigInt64(AT.freeListRoot, NO_PAGE, littleEndian);
    bytes.setBigInt64(AT.mainTableRoot, NO_PAGE, littleEndian);
    bytes.setBigUint64(AT.lastPage, META_PAGES - 1n, littleEndian);
  }
  return file;
};

const OPENING = 'opening.';
const RUNNING = 'running.';

/** How a directory was left by an owner that did not close it. */
interface Unclosed {
  /** Epoch ms. */
  readonly openedAt: number;
  /** It was the same boot of the machine, and the data file is the one that it opened. */
  readonly isSameBootAndFile: boolean;
  /** That owner had opened a file that was not closed either, without having it read first. */
  readonly onTrust: boolean;
}

/**
 * Files that mark how far opening a directory has come. A process that finds `opening` knows that the last attempt died
 * on it, and does not run into the same crash. `running` holds what distinguishes a killed process from harm to the file.
 */
export class CrashMarkers {
  private constructor(
    private readonly directory: string,
    private path: string,
  ) {}

  /** Whether an earlier owner of the directory died between opening it and reading from it. */
  static showDeath(markers: Markers): boolean {
    return markers.some((name) => name.startsWith(OPENING));
  }

  /** Whether an owner of the directory opened it and did not close it. */
  static showUse(markers: Markers): boolean {
    return markers.some((name) => name.startsWith(RUNNING));
  }

  /** Whether all that left one have ended, as far as this process can see them. False without any. */
  static areOfTheDead(markers: Markers): boolean {
    const mine = `.${pidNamespace()}`;
    return markers.length > 0 && markers.every((name) => name.endsWith(mine) && hasEnded(Number(name.split('.')[1])));
  }

  /** What the last owner left that opened the directory and did not close it. Undefined if it was closed. */
  static async unclosed(directory: string, markers: Markers): Promise<Unclosed | undefined> {
    const name = markers.find((each) => each.startsWith(RUNNING));
    if (name === undefined) return undefined;
    const path = join(directory, name);
    const [openedAt, text] = await Promise.all([
      stat(path).then(
        ({ mtimeMs }) => mtimeMs,
        () => Infinity,
      ),
      readFile(path, 'utf8').catch(() => ''),
    ]);
    const [trust, ...place] = text.split('\n');
    const isSameBootAndFile = place.join('\n') === (await placeOf(directory));
    return { openedAt, isSameBootAndFile, onTrust: trust !== READ_OR_CLOSED };
  }

  /** Replaces whatever markers are there; the directory must be the caller's alone. */
  static leave(directory: string): Promise<CrashMarkers> {
    return orFault(`marking ${directory} as being opened`, async () => {
      for (const name of await markersIn(directory)) await rm(join(directory, name), { force: true });
      const path = join(directory, `${OPENING}${ownName()}`);
      await writeFile(path, '', { mode: 0o600 });
      return new CrashMarkers(directory, path);
    });
  }

  /** The directory was opened and read from. */
  async running({ onTrust }: { readonly onTrust: boolean }): Promise<void> {
    const path = join(this.directory, `${RUNNING}${ownName()}`);
    await orFault(`marking ${this.directory} as opened`, async () => {
      await writeFile(this.path, [onTrust ? ON_TRUST : READ_OR_CLOSED, await placeOf(this.directory)].join('\n'));
      await rename(this.path, path);
    });
    this.path = path;
  }

  async remove(): Promise<void> {
    await rm(this.path, { force: true });
  }
}

const READ_OR_CLOSED = 'read or closed before';
const ON_TRUST = 'on trust';

/**
 * The boot of the machine, and the data file: a copy, or another one in its place, is another file. Undefined where the
 * system does not name its boot.
 */
const placeOf = async (directory: string): Promise<string | undefined> => {
  const [boot, file] = [bootId(), await stat(dataFileIn(directory)).catch(() => undefined)];
  return boot === undefined || file === undefined ? undefined : `${boot}\n${file.ino} ${file.birthtimeMs}`;
};

/** Process ids mean something within one namespace. Empty where the system has none. */
const pidNamespace = (): string => {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '';
  } catch {
    return '';
  }
};

const ownName = (): string => `${process.pid}.${pidNamespace()}`;

/** A process that may not be asked is there. */
const hasEnded = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return isErrno(error, 'ESRCH');
  }
};

/** The names of the markers in a directory. */
type Markers = readonly string[];

const markersIn = async (directory: string): Promise<Markers> => {
  try {
    return (await readdir(directory)).filter((name) => name.startsWith(OPENING) || name.startsWith(RUNNING));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
};

const STAMP = 'closed';
const SLICE_BYTES = 1024 * 1024;
/** Larger files are recognised by size and date alone: reading them would hold up closing and opening. */
const MOST_READ_BYTES = 64 * 1024 * 1024;

/** What a data file looks like from outside. */
interface FileFingerprint {
  readonly size: number;
  readonly mtimeMs: number;
}

/** Whether all of a data file can be read without holding anybody up. */
const isSoonRead = ({ size }: FileFingerprint): boolean => size <= MOST_READ_BYTES;

/** How a data file was left. `content` is a checksum; undefined if it was not read. */
interface Stamp extends FileFingerprint {
  readonly content: number | undefined;
}

const dataFileIn = (directory: string): string => join(directory, 'data.mdb');

const fingerprintOf = (directory: string): Promise<FileFingerprint | undefined> =>
  stat(dataFileIn(directory)).then(
    ({ size, mtimeMs }) => ({ size, mtimeMs }),
    () => undefined,
  );

const contentOf = async (directory: string, looks: FileFingerprint): Promise<number | undefined> => {
  if (!isSoonRead(looks)) return undefined;
  const { size } = looks;
  try {
    const file = await open(dataFileIn(directory), 'r');
    try {
      const slice = Buffer.allocUnsafe(SLICE_BYTES);
      let checksum = 0;
      for (let at = 0; at < size;) {
        const { bytesRead } = await file.read(slice, 0, SLICE_BYTES, at);
        if (bytesRead === 0) return undefined;
        checksum = crc32(slice.subarray(0, bytesRead), checksum);
        at += bytesRead;
      }
      return checksum;
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
};

const parseStamp = (text: string): Stamp => {
  const [size = NaN, mtimeMs = NaN, content] = text.split(' ').map(Number);
  return { size, mtimeMs, content };
};

/** tar keeps whole seconds, and Node's `cp` is a millisecond off in either direction. */
const isSameTime = (stamped: number, found: number): boolean =>
  Math.abs(found - stamped) <= 1 || found === Math.floor(stamped / 1_000) * 1_000;

/**
 * Notes size, date and checksum of the data file of `directory` when it is closed in order. If they differ at the next
 * opening, the file was changed since, or its last user did not close it.
 */
export const stampClosed = async (directory: string): Promise<void> => {
  const looks = await fingerprintOf(directory);
  if (looks === undefined) return;
  const content = await contentOf(directory, looks);
  const stamp = [looks.size, looks.mtimeMs, ...(content === undefined ? [] : [content])].join(' ');
  await writeFile(join(directory, STAMP), stamp, { mode: 0o600 }).catch(() => undefined);
};

/**
 * How the data file is now: as it was closed, changed since, or never closed in order. A copy with another date is the
 * same file, so a file with another date is read.
 */
const sinceClosed = async (directory: string): Promise<'same' | 'changed' | 'unknown'> => {
  const text = await readFile(join(directory, STAMP), 'utf8').catch(() => undefined);
  if (text === undefined) return 'unknown';
  const [stamp, now] = [parseStamp(text), await fingerprintOf(directory)];
  if (now?.size !== stamp.size) return 'changed';
  if (isSameTime(stamp.mtimeMs, now.mtimeMs)) return 'same';
  if (stamp.content === undefined) return 'changed';
  return (await contentOf(directory, now)) === stamp.content ? 'same' : 'changed';
};

/** What the users of a directory have left beside the data file. */
export interface Leftovers {
  readonly markers: Markers;
  readonly since: Awaited<ReturnType<typeof sinceClosed>>;
}

export const leftoversIn = async (directory: string): Promise<Leftovers> => {
  const [markers, since] = await Promise.all([markersIn(directory), sinceClosed(directory)]);
  return { markers, since };
};

/**
 * Whether no one has the data file open. A process that opens it leaves a marker before, in place of the one that is there, and
 * removes it after closing. So the file was closed in order, or the last one that opened it has ended.
 */
export const isOpenNowhere = ({ markers, since }: Leftovers): boolean =>
  markers.length === 0 ? since === 'same' : CrashMarkers.areOfTheDead(markers);

/** To be called before the data file is written to. */
export const forgetStamp = (directory: string): Promise<void> => rm(join(directory, STAMP), { force: true });

/** Linux's name for this boot of this kernel; undefined elsewhere. */
export const bootId = (): string | undefined => {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined;
  }
};
