import {
  constants,
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
} from 'node:fs';
import { linkSync, openSync, readdirSync, readSync, rmSync, statSync, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { randomId } from '../../clock/clock.js';
import { ensurePrivateDirectory } from '../files/private-directory.js';
import { type Followed, type LogFile, type LogFolder, LogSegment } from './log-segment.js';

/** A place in the log, with the checksum of the record before it: a place of another history does not fit. */
export interface LogPlace {
  readonly generation: string;
  readonly position: number;
  readonly checksum: number;
}

/** Gets each record, with the place behind it. */
export type OnRecord = (body: string, place: LogPlace) => void;

/** So many old segments stay, for the owner that takes over. */
const KEPT = 2;

/**
 * The log of a directory: `log/<n>.log`, which all its processes append to and follow. What one has appended is read by the
 * others in the same order. Looking reads a few bytes of the page cache.
 */
export class LogFiles {
  /** Creates the folder and the first segment, if need be, and starts at the end. Throws StorageFault or the system's error. */
  static async open(folder: LogFolder): Promise<LogFiles> {
    await folder.prepare();
    const files = new LogFiles(folder);
    files.attach();
    return files;
  }

  private current: LogSegment | undefined;

  private constructor(private readonly folder: LogFolder) {}

  get segment(): LogSegment {
    if (this.current === undefined) throw new Error('the log is not attached');
    return this.current;
  }

  /** Nothing was ever appended. */
  get isUnused(): boolean {
    return this.segment.number === 1 && this.segment.position === 0;
  }

  get place(): LogPlace {
    const { header, position, checksum } = this.segment;
    return { generation: header.generation, position, checksum };
  }

  /** Hands over what is new. `left` is called for a segment that is followed to its end, before the next one is read. */
  follow(on: OnRecord, left: (segment: LogSegment) => void): Exclude<Followed, 'rotated'> {
    for (;;) {
      const { segment } = this;
      const { generation } = segment.header;
      const followed = segment.follow((body, position, checksum) => on(body, { generation, position, checksum }));
      if (followed !== 'rotated') return followed;
      const next = this.successorOf(segment);
      if (next === undefined || next.header.generation !== generation) return 'lost';
      left(segment);
      segment.retire();
      this.current = next;
    }
  }

  /** Starts at the end of the newest segment: nothing is known of what was before. */
  attach(): void {
    this.current?.retire();
    this.current = undefined;
    for (;;) {
      const number = this.numbers().at(-1);
      const newest = number === undefined ? undefined : LogSegment.open(this.folder, number);
      if (newest === undefined) {
        LogSegment.create(this.folder, (number ?? 0) + 1, { generation: randomId(), base: 0 });
        continue;
      }
      const followed = newest.follow(() => undefined);
      if (followed === 'end') {
        this.current = newest;
        return;
      }
      if (followed === 'rotated') this.successorOf(newest)?.retire();
      newest.retire();
    }
  }

  /** Reads from `place` to where following is. False if the history from there is not known any more. */
  replay(place: LogPlace, on: OnRecord): boolean {
    const end = this.place;
    if (place.generation !== end.generation || place.position > end.position) return false;
    const segments = this.openAll(end.generation);
    try {
      const first = segments.findLast(({ header }) => header.base <= place.position);
      if (first?.seek(place.position, place.checksum) !== true) return false;
      const from = segments.indexOf(first);
      for (const segment of segments.slice(from)) {
        const { generation } = segment.header;
        segment.follow((body, position, checksum) => {
          if (position <= end.position) on(body, { generation, position, checksum });
        });
      }
      return true;
    } finally {
      for (const segment of segments) segment.retire();
    }
  }

  /**
   * Declares everything before void, so that every process drops what it holds: empties the segment, which needs no room on
   * the disk, and begins a new generation. It is followed from there. Throws the system's error.
   */
  void(): void {
    const { generation } = this.place;
    // Others may follow it although its folder was removed.
    this.segment.cut();
    // A process that follows to a new segment of this generation in the meantime must notice too.
    while (this.place.generation === generation) {
      const newest = this.numbers().at(-1);
      if (newest !== undefined) LogSegment.empty(this.folder, newest);
      this.attach();
    }
  }

  close(): void {
    this.current?.retire();
    this.current = undefined;
  }

  private openAll(generation: string): readonly LogSegment[] {
    const opened: LogSegment[] = [];
    for (const number of this.numbers()) {
      const segment = LogSegment.open(this.folder, number);
      if (segment === undefined) continue;
      if (segment.header.generation === generation) opened.push(segment);
      else segment.retire();
    }
    return opened;
  }

  /** The next segment. It is created if nobody has done so. Undefined if history is void. */
  private successorOf(segment: LogSegment): LogSegment | undefined {
    const number = segment.number + 1;
    if (!LogSegment.isIn(this.folder, number)) {
      if (!segment.isInPlace || this.numbers().some((other) => other > number)) return undefined;
      segment.syncNow();
      LogSegment.create(this.folder, number, { generation: segment.header.generation, base: segment.position });
      for (const old of this.numbers()) if (old < number - KEPT) LogSegment.remove(this.folder, old);
    }
    return LogSegment.open(this.folder, number);
  }

  private numbers(): readonly number[] {
    return LogSegment.numbersIn(this.folder);
  }
}

const writeAsync = promisify(write);
const fdatasyncAsync = promisify(fdatasync);

class FileOnDisk implements LogFile {
  constructor(
    private readonly path: string,
    private readonly fd: number,
  ) {}

  get size(): number {
    return fstatSync(this.fd).size;
  }

  read(into: Buffer, length: number, from: number): number {
    return readSync(this.fd, into, 0, length, from);
  }

  async append(bytes: Buffer): Promise<number> {
    return (await writeAsync(this.fd, bytes)).bytesWritten;
  }

  sync(): Promise<void> {
    return fdatasyncAsync(this.fd);
  }

  syncNow(): void {
    fdatasyncSync(this.fd);
  }

  get isInPlace(): boolean {
    try {
      const [own, named] = [fstatSync(this.fd), statSync(this.path)];
      return own.ino === named.ino && own.dev === named.dev;
    } catch {
      return false;
    }
  }

  cut(): void {
    ftruncateSync(this.fd, 0);
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** A folder of the file system. */
export class FolderOnDisk implements LogFolder {
  constructor(readonly directory: string) {}

  prepare(): Promise<void> {
    return ensurePrivateDirectory(this.directory);
  }

  names(): readonly string[] {
    return readdirSync(this.directory);
  }

  has(name: string): boolean {
    return existsSync(this.pathOf(name));
  }

  open(name: string): LogFile {
    const path = this.pathOf(name);
    return new FileOnDisk(path, openSync(path, constants.O_RDWR | constants.O_APPEND));
  }

  create(name: string, bytes: Buffer): void {
    const path = this.pathOf(name);
    const draft = `${path}.${randomId()}`;
    const fd = openSync(draft, 'wx', 0o600);
    try {
      writeSync(fd, bytes);
      fsyncSync(fd);
      linkSync(draft, path);
    } catch (error) {
      if (!isExisting(error)) throw error;
    } finally {
      closeSync(fd);
      rmSync(draft, { force: true });
    }
  }

  empty(name: string): void {
    const fd = openSync(this.pathOf(name), 'r+');
    try {
      ftruncateSync(fd, 0);
      fdatasyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  remove(name: string): void {
    rmSync(this.pathOf(name), { force: true });
  }

  sync(): void {
    const fd = openSync(this.directory, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  private pathOf(name: string): string {
    return `${this.directory}/${name}`;
  }
}

const isExisting = (error: unknown): boolean => error instanceof Error && Reflect.get(error, 'code') === 'EEXIST';
