import { type BigIntStats, constants, type Stats } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LaneCacheError } from '../../errors/lane-cache.error.js';
import {
  forgetStamp,
  stampClosed,
  CrashMarkers,
  checkIntegrity,
  isOpenNowhere,
  type Leftovers,
  leftoversIn,
  CorruptError,
  emptyDataFile,
} from './integrity-check.js';
import { StorageFault, type Environment, orFault, toFault } from '../environment.js';
import { LmdbEnvironment, type LmdbEnvironmentOptions } from './lmdb-environment.js';
import type { HeldFolder } from './probe.js';
import { openNative, type NativeRoot, openNativeTable, tableNames } from './lmdb-table.js';
import { ensurePrivateDirectory, syncDirectory } from '../files/private-directory.js';
import { quarantine } from '../files/quarantine.js';
import { FreeSpaceLimit } from './free-space.js';

export interface OpenEnvironmentOptions extends LmdbEnvironmentOptions {
  /**
   * What a marker means that an earlier process left while opening. `quarantine`: the directory is set aside, as is one
   * of an unknown format: right for a cache. `probe`: a child process tries first, and an unknown format is an error:
   * right for checkpoints, which must not vanish because a process was killed at a bad moment.
   */
  readonly onMarkerLeft: 'quarantine' | 'probe';
  /** Shared by all that the process opens under one claim. */
  readonly opened?: OpenDirectories | undefined;
  /** Rejects with `StorageFault` if the folder is not this process's any more. Asked once the folder is held. */
  readonly requireOwnership?: (() => Promise<void>) | undefined;
}

const FRESH_BYTES = 262_144;
/** Of a lock file with 512 readers. */
const LOCK_BYTES = 65_536;

/**
 * Opens `directory` as LMDB, and creates it if it is missing. A damaged directory does not kill the process: it is renamed
 * away and reported, and a fresh one is opened. The caller must be its only user.
 *
 * Throws `StorageFault`, or `LaneCacheError` `DIRECTORY_UNSUITABLE` or (`onMarkerLeft: 'probe'`) `FORMAT_UNSUPPORTED`.
 */
export const openEnvironment = async (options: OpenEnvironmentOptions): Promise<Environment> => {
  try {
    return await openOnce(options);
  } catch (error) {
    if (!(error instanceof CorruptError)) throw error;
    const movedTo = await quarantine(options.directory, options.clock);
    options.report.quarantined(options.directory, movedTo, error.message);
    return openOnce(options);
  }
};

const openOnce = async (options: OpenEnvironmentOptions): Promise<Environment> => {
  const { directory } = options;
  await ensurePrivateDirectory(directory);
  const place = await HeldPlace.at(directory);
  try {
    return await openHeld(options, place);
  } catch (error) {
    const isReplaced = error instanceof CorruptError && !(await place.isStill(directory));
    await place.leave();
    // The one that is there now may be sound, and in use.
    throw isReplaced ? new StorageFault('io', `${directory} was replaced while it was opened`) : error;
  }
};

const openHeld = async (options: OpenEnvironmentOptions, place: HeldPlace): Promise<Environment> => {
  const { directory, opened } = options;
  await options.requireOwnership?.();
  const left = await leftoversIn(place.path);
  await requireSoleUse(options, place, left);
  const trust = await checkIntegrity(options, place, left);
  const files = await createFiles(options, place.path);
  let marker = await CrashMarkers.leave(place.path);
  await forgetStamp(place.path);
  const root = await openRoot({ ...options, directory: place.path }, marker);
  const noLongerOpen = opened?.add(directory);
  const environment = await madeOf(root, options, {
    heldAs: place.path,
    closed: async (dataFile) => {
      if (dataFile === 'in place') {
        if (trust.may === 'write') await stampClosed(directory);
        // A marker that is left only shows that the directory was in use.
        await marker.remove().catch(() => undefined);
      }
      await place.leave();
      noLongerOpen?.();
    },
    beside: (path) => openOnce({ ...options, directory: path }),
    reopen: async () => {
      marker = await CrashMarkers.leave(directory);
      await forgetStamp(directory);
      const again = await openRoot(options, marker);
      await marker.running({ onTrust: false });
      return again;
    },
  });
  try {
    await agreeOnFormat(environment, root, options);
    await marker.running({ onTrust: trust.may === 'write' && trust.onTrust });
    if (files === 'created' && options.durability === 'durable') await nameDurably(directory);
    if (trust.may === 'read') reportReadOnly(options, trust.cause);
    return environment;
  } catch (error) {
    await environment.close();
    throw error;
  }
};

const reportReadOnly = ({ directory, report }: OpenEnvironmentOptions, cause: string): void =>
  report.fault('damaged', `${directory} can be read only: ${cause}`, undefined);

/** Creates the files that are missing, if the volume has room for them. */
const createFiles = async (options: OpenEnvironmentOptions, heldAs: string): Promise<'created' | 'found'> => {
  const hasData = await hasContent(join(heldAs, 'data.mdb'));
  const isNew = !hasData || !(await hasContent(join(heldAs, 'lock.mdb')));
  if (isNew) new FreeSpaceLimit(options.directory, options.minFreeBytes).requireRoom(FRESH_BYTES);
  await fillLockFile(heldAs);
  if (!hasData) await createDataFile(heldAs);
  return isNew ? 'created' : 'found';
};

/**
 * A folder that is found by a descriptor, on Linux. A person may remove the directory while this process opens it, or is
 * stopped, and another process may create and open it again. What this process then writes must fail, and not reach the
 * files that the other one has open.
 */
class HeldPlace implements HeldFolder {
  static async at(directory: string): Promise<HeldPlace> {
    if (process.platform !== 'linux') return new HeldPlace(directory);
    const handle = await orFault(`opening ${directory}`, () => open(directory, 'r'));
    const path = `/proc/self/fd/${handle.fd}`;
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined) return new HeldPlace(path, handle, found);
    await handle.close();
    return new HeldPlace(directory);
  }

  private constructor(
    readonly path: string,
    private handle?: FileHandle,
    private readonly folder?: Stats,
  ) {}

  get descriptor(): number | undefined {
    return this.handle?.fd;
  }

  /** Whether the folder is found by that name. */
  async isStill(directory: string): Promise<boolean> {
    const { folder } = this;
    const named = await stat(directory).catch(() => undefined);
    return folder === undefined || (folder.ino === named?.ino && folder.dev === named.dev);
  }

  async leave(): Promise<void> {
    const { handle } = this;
    this.handle = undefined;
    await handle?.close();
  }
}

const madeOf = async (
  root: NativeRoot,
  options: OpenEnvironmentOptions,
  opener: ConstructorParameters<typeof LmdbEnvironment>[2],
): Promise<LmdbEnvironment> => {
  try {
    return new LmdbEnvironment(root, options, opener);
  } catch (error) {
    // the directory was removed meanwhile
    await root.close();
    options.opened?.delete(options.directory);
    throw toFault(error, `opening ${options.directory}`);
  }
};

/** Claims are files that a person can remove. Two processes that have the same files open destroy them. */
const requireSoleUse = async (
  { directory, opened }: OpenEnvironmentOptions,
  { path }: HeldFolder,
  left: Leftovers,
): Promise<void> => {
  if (opened?.has(directory) === true)
    throw new StorageFault('deadline', `${directory} is still open from before: closing it took too long`);
  const pid = await lockHolder(path, left);
  if (pid === undefined) return;
  const whose = pid === process.pid ? 'this process' : `process ${pid}`;
  throw new StorageFault(
    'io',
    `${whose} has ${directory} open, although it has no claim on it. Was the folder 'claims' removed? The directory is opened when that process has ended`,
  );
};

/** LMDB syncs the content of its file, not its name in the directory. */
const nameDurably = (directory: string): Promise<void> =>
  orFault(`making ${directory} durable`, () => syncDirectory(directory));

const hasContent = (path: string): Promise<boolean> =>
  stat(path).then(
    ({ size }) => size > 0,
    () => false,
  );

/**
 * Writes a data file without tables, so that LMDB finds one. LMDB ends the process if the volume is full while it creates its
 * file, and another process may take the room that was there a moment before.
 */
const createDataFile = async (directory: string): Promise<void> => {
  const path = join(directory, 'data.mdb');
  const unfinished = `${path}.new`;
  try {
    await writeFile(unfinished, emptyDataFile(), { mode: 0o600 });
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true }).catch(() => undefined);
    throw toFault(error, `creating ${path}`);
  }
};

/** Not cut to nothing first: the blocks that the file has stay its own. */
const OVERWRITE = constants.O_WRONLY | constants.O_CREAT;

/**
 * Fills LMDB's lock file. LMDB maps it, and it has holes; filling a hole on a full disk ends the process. The caller is the
 * only user of the directory, so what the file holds may be overwritten.
 */
const fillLockFile = (directory: string): Promise<void> =>
  orFault(`preparing ${directory}`, () =>
    writeFile(join(directory, 'lock.mdb'), new Uint8Array(LOCK_BYTES), { mode: 0o600, flag: OVERWRITE }),
  );

const openRoot = async (
  { directory, durability }: OpenEnvironmentOptions,
  marker: CrashMarkers,
): Promise<NativeRoot> => {
  try {
    return await openNative(directory, durability);
  } catch (error) {
    await marker.remove();
    const fault = toFault(error, `opening ${directory}`);
    throw fault.kind === 'damaged' ? new CorruptError(fault.message) : fault;
  }
};

const agreeOnFormat = async (
  environment: LmdbEnvironment,
  root: NativeRoot,
  options: OpenEnvironmentOptions,
): Promise<void> => {
  let format;
  try {
    format = readFormat(root);
  } catch (error) {
    const fault = toFault(error, `reading ${options.directory} for the first time`);
    throw fault.kind === 'damaged' ? new CorruptError(fault.message) : fault;
  }
  if (format.state === 'none') {
    await environment.makeRoomForTables();
    const table = environment.table(FORMAT_TABLE);
    await environment.commit((transaction) => transaction.put(table, FORMAT_KEY, formatRow()));
  }
  if (format.state !== 'foreign') return;
  if (options.onMarkerLeft === 'quarantine') throw new CorruptError(`it is of another format: ${format.found}`);
  throw new LaneCacheError(
    'FORMAT_UNSUPPORTED',
    `${options.directory} holds ${format.found}, which this version of nestjs-lane-cache cannot read. Use the version that wrote it, or another directory.`,
    { field: 'checkpoints.directory' },
  );
};

/** The version of what this room writes: tables, keys and rows. Raised when an older build could misread it. */
const FORMAT_VERSION = 1;

/** The row that names the format of a directory. */
export const FORMAT_TABLE = 'about';
export const FORMAT_KEY = 'format';
const CURRENT = `nestjs-lane-cache ${FORMAT_VERSION}`;

/** `none`: nothing was ever written. `foreign`: written by something else, or by a newer version. */
type Format = { readonly state: 'none' | 'current' } | { readonly state: 'foreign'; readonly found: string };

/** Throws LMDB's error if the row cannot be read. */
const readFormat = (root: NativeRoot): Format => {
  const tables = tableNames(root);
  if (tables.length === 0) return { state: 'none' };
  if (!tables.includes(FORMAT_TABLE)) return { state: 'foreign', found: `a table ${JSON.stringify(tables[0])}` };
  const row = openNativeTable(root, FORMAT_TABLE).getBinary(FORMAT_KEY);
  // The table is created just before its row is written, and the process may die in between.
  if (row === undefined) return tables.length === 1 ? { state: 'none' } : { state: 'foreign', found: 'no version' };
  const text = row.toString('latin1');
  return text === CURRENT ? { state: 'current' } : { state: 'foreign', found: JSON.stringify(text.slice(0, 80)) };
};

const formatRow = (): Uint8Array => Buffer.from(CURRENT, 'latin1');

/** `1: POSIX  ADVISORY  READ 4711 fd:01:123456 0 0`: a process and the file of which it holds a lock. */
const LOCK = /^\d+: (?:-> )?POSIX\s+\S+\s+\S+ (-?\d+) ([0-9a-f]+:[0-9a-f]+:\d+) /gm;

const hex = (number: bigint): string => number.toString(16).padStart(2, '0');

/** A file as `/proc/locks` names it. */
const nameOf = ({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string => {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return `${hex(major)}:${hex(minor)}:${ino}`;
};

/**
 * The process that has LMDB open in `directory`. Undefined if this process sees none. LMDB holds locks on its lock file
 * while it is open; unlike claims, they cannot be removed. Linux only, and not across containers.
 */
const lockHolder = async (directory: string, left: Leftovers): Promise<number | undefined> => {
  // the kernel takes 10 to 20 ms to list its locks
  if (process.platform !== 'linux' || isOpenNowhere(left)) return undefined;
  const file = await lockFileOf(directory);
  if (file === undefined) return undefined;
  const name = nameOf(file);
  for (const [, pid, locked] of (await locksOfSystem()).matchAll(LOCK)) if (locked === name) return Number(pid);
  return undefined;
};

/** What it cannot look at, opening the directory reports. */
const lockFileOf = (directory: string): Promise<BigIntStats | undefined> =>
  stat(join(directory, 'lock.mdb'), { bigint: true }).catch(() => undefined);

const locksOfSystem = (): Promise<string> => readFile('/proc/locks', 'utf8').catch(() => '');

/**
 * The directories in which LMDB is open, or may not have been closed. No one may open them, in this process or another: two
 * at once lose what they commit.
 */
export class OpenDirectories {
  private readonly paths = new Map<string, symbol>();
  private waiting: { readonly isOver: () => boolean; readonly resolve: () => void }[] = [];

  has(path: string): boolean {
    return this.paths.has(path);
  }

  /** Returns the function to call when it was closed. Another one that has its path by then stays. */
  add(path: string): () => void {
    const own = Symbol(path);
    this.paths.set(path, own);
    return () => {
      if (this.paths.get(path) === own) this.delete(path);
    };
  }

  /** The directory was closed, or moved to where it is never opened. */
  delete(path: string): void {
    this.paths.delete(path);
    const over = this.waiting.filter(({ isOver }) => isOver());
    this.waiting = this.waiting.filter((one) => !over.includes(one));
    for (const { resolve } of over) resolve();
  }

  /** Resolves when the directory is not open; never, if LMDB hangs. */
  closed(path: string): Promise<void> {
    return this.until(() => !this.has(path));
  }

  /** Resolves when there is none; never, if LMDB hangs. */
  none(): Promise<void> {
    return this.until(() => this.isEmpty);
  }

  get isEmpty(): boolean {
    return this.paths.size === 0;
  }

  private until(isOver: () => boolean): Promise<void> {
    if (isOver()) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push({ isOver, resolve }));
  }
}
