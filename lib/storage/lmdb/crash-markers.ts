import { readdir, rename, rm, stat, writeFile, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, toFault } from '../environment.js';
import { crc32 } from 'node:zlib';
import { bootId } from '../files/boot-id.js';

const OPENING = 'opening.';
const RUNNING = 'running.';

/** How a directory was left by an owner that did not close it. */
export interface Unclosed {
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
  static async wasLeft(directory: string): Promise<boolean> {
    return (await markers(directory)).some((name) => name.startsWith(OPENING));
  }

  /** What the last owner left that opened the directory and did not close it. Undefined if it was closed. */
  static async unclosed(directory: string): Promise<Unclosed | undefined> {
    const name = (await markers(directory)).find((each) => each.startsWith(RUNNING));
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
  static async leave(directory: string): Promise<CrashMarkers> {
    try {
      for (const name of await markers(directory)) await rm(join(directory, name), { force: true });
      const path = join(directory, `${OPENING}${process.pid}`);
      await writeFile(path, '', { mode: 0o600 });
      return new CrashMarkers(directory, path);
    } catch (error) {
      throw toFault(error, `marking ${directory} as being opened`);
    }
  }

  /** The directory was opened and read from. */
  async running({ onTrust }: { readonly onTrust: boolean }): Promise<void> {
    const path = join(this.directory, `${RUNNING}${process.pid}`);
    try {
      await writeFile(this.path, [onTrust ? ON_TRUST : READ_OR_CLOSED, await placeOf(this.directory)].join('\n'));
      await rename(this.path, path);
    } catch (error) {
      throw toFault(error, `marking ${this.directory} as opened`);
    }
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

const markers = async (directory: string): Promise<readonly string[]> => {
  try {
    return (await readdir(directory)).filter((name) => name.startsWith(OPENING) || name.startsWith(RUNNING));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
};

const NAME = 'closed';
const SLICE_BYTES = 1024 * 1024;
/** Larger files are recognised by size and date alone: reading them would hold up closing and opening. */
const MOST_READ_BYTES = 64 * 1024 * 1024;

/** What a data file looks like from outside. */
interface FileFingerprint {
  readonly size: number;
  readonly mtimeMs: number;
}

/** Whether all of a data file can be read without holding anybody up. */
export const isSoonRead = ({ size }: FileFingerprint): boolean => size <= MOST_READ_BYTES;

/** How a data file was left. `content` is a checksum; undefined if it was not read. */
interface Stamp extends FileFingerprint {
  readonly content: number | undefined;
}

const dataFileIn = (directory: string): string => join(directory, 'data.mdb');

export const fingerprintOf = (directory: string): Promise<FileFingerprint | undefined> =>
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

const parse = (text: string): Stamp => {
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
  await writeFile(join(directory, NAME), stamp, { mode: 0o600 }).catch(() => undefined);
};

/**
 * How the data file is now: as it was closed, changed since, or never closed in order. A copy with another date is the
 * same file, so a file with another date is read.
 */
export const sinceClosed = async (directory: string): Promise<'same' | 'changed' | 'unknown'> => {
  const text = await readFile(join(directory, NAME), 'utf8').catch(() => undefined);
  if (text === undefined) return 'unknown';
  const [stamp, now] = [parse(text), await fingerprintOf(directory)];
  if (now?.size !== stamp.size) return 'changed';
  if (isSameTime(stamp.mtimeMs, now.mtimeMs)) return 'same';
  if (stamp.content === undefined) return 'changed';
  return (await contentOf(directory, now)) === stamp.content ? 'same' : 'changed';
};

/** Whether no one has the data file open: who opens it leaves a marker before, and removes it after closing. */
export const wasClosedInOrder = async (directory: string): Promise<boolean> =>
  (await markers(directory)).length === 0 && (await sinceClosed(directory)) === 'same';

/** To be called before the data file is written to. */
export const forgetStamp = (directory: string): Promise<void> => rm(join(directory, NAME), { force: true });
