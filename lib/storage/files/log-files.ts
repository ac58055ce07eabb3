import fs, {
  constants,
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  linkSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  write,
  writeSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { randomId } from '../../clock/clock.js';
import { LaneCacheError } from '../../errors/lane-cache.error.js';
import { isErrno } from '../environment.js';
import { ensurePrivateDirectory } from './private-directory.js';

/** A place in the log, with the checksum of the record before it: a place of another history does not fit. */
export interface LogPlace {
  readonly generation: string;
  readonly position: number;
  readonly checksum: number;
}

/** Gets each record, with the place behind it. */
type OnRecord = (body: string, place: LogPlace) => void;

const SEGMENT = /^(\d+)\.log$/;
const nameOf = (number: number): string => `${number}.log`;

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
      if (newest !== undefined) this.folder.empty(nameOf(newest));
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
    if (!this.folder.has(nameOf(number))) {
      if (!segment.isInPlace || this.numbers().some((other) => other > number)) return undefined;
      segment.syncNow();
      LogSegment.create(this.folder, number, { generation: segment.header.generation, base: segment.position });
      for (const old of this.numbers()) if (old < number - KEPT) this.folder.remove(nameOf(old));
    }
    return LogSegment.open(this.folder, number);
  }

  /** The numbers of the segments, the oldest first. */
  private numbers(): readonly number[] {
    const numbers = this.folder.names().flatMap((name) => Number(SEGMENT.exec(name)?.[1] ?? NaN));
    return numbers.filter((number) => !Number.isNaN(number)).toSorted((a, b) => a - b);
  }
}

/*
 * A segment is a header and records, one after the other (numbers are little-endian):
 *
 * | header | bytes | what |                     | record | bytes | what |
 * | -----: | ----: | ---- |                     | -----: | ----: | ---- |
 * |      0 |    12 | magic                      |      0 |     2 | magic |
 * |     12 |     4 | format                     |      2 |     4 | length of the body |
 * |     16 |    16 | generation                 |      6 |       | body |
 * |     32 |     4 | salt                       |    end |     4 | CRC-32, seeded with the salt |
 * |     36 |     8 | base                       |
 * |     44 |     4 | CRC-32 of what is before   |
 *
 * The salt keeps the text of a record from imitating a record.
 */
const HEADER_MAGIC = 'nestjs-lane\n';
const FORMAT = 1;
const HEADER_BYTES = 48;
const RECORD_MAGIC = 0x524c;
const AT_BODY = 6;
const CHECKSUM_BYTES = 4;
const FRAME_BYTES = AT_BODY + CHECKSUM_BYTES;
/** Far more than a key and a lane take. */
const MAX_BODY_BYTES = 1024 * 1024;
const READ_BYTES = 64 * 1024;

/** An open file of the log. What is appended lies behind what every other process has appended. */
export interface LogFile {
  readonly size: number;
  /** How many bytes were read. */
  read(into: Buffer, length: number, from: number): number;
  /** Resolves to how many bytes every process can see from now on. Rejects with the system's error. */
  append(bytes: Buffer): Promise<number>;
  /** Resolves when what was appended survives a power cut. */
  sync(): Promise<void>;
  syncNow(): void;
  /** Whether the path still names this file. */
  readonly isInPlace: boolean;
  /** Empties it, also where no path names it any more. */
  cut(): void;
  close(): void;
}

/** The folder of the log. All its methods throw the system's error. */
export interface LogFolder {
  readonly directory: string;
  /** Creates the folder, if need be. Rejects with StorageFault. */
  prepare(): Promise<void>;
  names(): readonly string[];
  has(name: string): boolean;
  open(name: string): LogFile;
  /** Puts a new file in its place, whole and synced, unless another process was faster. */
  create(name: string, bytes: Buffer): void;
  /** Cuts a file to nothing, header included, so that every process notices, and syncs it. It needs no room on the disk. */
  empty(name: string): void;
  remove(name: string): void;
  /** Makes the names of new files survive a power cut. */
  sync(): void;
}

interface Header {
  readonly generation: string;
  readonly salt: number;
  /** The position of the header's end. */
  readonly base: number;
}

/** What following a segment came to. */
export type Followed = 'end' | 'rotated' | 'lost';

/** The body of the record that ends a segment. */
const ROTATE = Buffer.from('rotate');

/** One file of the log, and how far it was followed. */
export class LogSegment {
  /** Where following has come to: an offset in the file, and the checksum of the record before it. */
  private offset = HEADER_BYTES;
  checksum: number;
  /** How many appends and syncs run: the descriptor must not be closed under them. */
  private busy = 0;
  private isRetired = false;

  private constructor(
    readonly number: number,
    private readonly file: LogFile,
    readonly header: Header,
    checksum: number,
  ) {
    this.checksum = checksum;
  }

  /** Undefined if the file has no header: it was emptied, because its history is void. Throws `FORMAT_UNSUPPORTED`, or the system's error. */
  static open(folder: LogFolder, number: number): LogSegment | undefined {
    const file = folder.open(nameOf(number));
    try {
      const bytes = Buffer.alloc(HEADER_BYTES);
      const isWhole = file.read(bytes, HEADER_BYTES, 0) === HEADER_BYTES;
      const header = isWhole ? parseHeader(bytes, `${folder.directory}/${nameOf(number)}`) : undefined;
      if (header !== undefined) return new LogSegment(number, file, header, bytes.readUInt32LE(HEADER_BYTES - 4));
      file.close();
      return undefined;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Puts a new file in its place, whole, unless another process was faster. Throws the system's error. */
  static create(
    folder: LogFolder,
    number: number,
    { generation, base }: { readonly generation: string; readonly base: number },
  ): void {
    const salt = Number.parseInt(randomId().slice(0, 8), 16);
    folder.create(nameOf(number), headerOf({ generation, base, salt }));
    folder.sync();
  }

  /** The position that following has come to. It only grows within a generation. */
  get position(): number {
    return this.header.base + this.offset - HEADER_BYTES;
  }

  get bytes(): number {
    return this.offset;
  }

  /** How far the file reaches beyond what was followed. */
  get behindBytes(): number {
    return Math.max(0, this.file.size - this.offset);
  }

  /** Nothing was appended since `follow` came to the end, and nothing is lost. */
  get isQuiet(): boolean {
    const { buffer } = SHARED;
    const length = this.file.read(buffer, READ_BYTES, this.offset - CHECKSUM_BYTES);
    return length === CHECKSUM_BYTES && buffer.readUInt32LE(0) === this.checksum;
  }

  /** What was followed is not there, though the file is not empty: it was no process of the directory that cut it. */
  get isShortened(): boolean {
    const found = Buffer.alloc(CHECKSUM_BYTES);
    const length = this.file.read(found, CHECKSUM_BYTES, this.offset - CHECKSUM_BYTES);
    return this.file.size > 0 && (length < CHECKSUM_BYTES || found.readUInt32LE(0) !== this.checksum);
  }

  /**
   * Hands over every record that was appended since the last call. `lost`: what had been followed is not there any more.
   * A record that a killed writer left incomplete is stepped over once a whole one follows it.
   */
  follow(on: (body: string, position: number, checksum: number) => void): Followed {
    let size = READ_BYTES;
    for (;;) {
      const buffer = size === READ_BYTES ? SHARED.buffer : Buffer.allocUnsafe(size);
      const from = this.offset - CHECKSUM_BYTES;
      const length = this.file.read(buffer, size, from);
      if (length < CHECKSUM_BYTES || buffer.readUInt32LE(0) !== this.checksum) return 'lost';
      if (length === CHECKSUM_BYTES) return 'end';
      const before = this.offset;
      if (this.take(Buffer.from(buffer.subarray(CHECKSUM_BYTES, length)), on) === 'rotated') return 'rotated';
      if (length < size) return 'end';
      if (this.offset === before) size = Math.min(size * 4, MAX_BODY_BYTES * 4);
      if (this.offset === before && size === length) return 'end';
    }
  }

  /** Moves to `position` without handing over anything. False if there is no record that ends there with this checksum. */
  seek(position: number, checksum: number): boolean {
    const offset = position - this.header.base + HEADER_BYTES;
    if (offset < HEADER_BYTES) return false;
    const found = Buffer.alloc(CHECKSUM_BYTES);
    if (this.file.read(found, CHECKSUM_BYTES, offset - CHECKSUM_BYTES) < CHECKSUM_BYTES) return false;
    if (found.readUInt32LE(0) !== checksum) return false;
    this.offset = offset;
    this.checksum = checksum;
    return true;
  }

  /** Resolves when the records are in the file for every process to see. Rejects with the system's error. */
  append(bodies: readonly string[]): Promise<void> {
    const bytes = Buffer.concat(bodies.map((body) => this.recordOf(Buffer.from(body))));
    return this.using(async () => {
      const taken = await this.file.append(bytes);
      if (taken < bytes.length) throw new Error(`the log took ${taken} of ${bytes.length} bytes`);
    });
  }

  /** Resolves when what was appended survives a power cut. */
  sync(): Promise<void> {
    return this.using(() => this.file.sync());
  }

  syncNow(): void {
    this.file.syncNow();
  }

  /** Ends the segment: what is appended behind this record is never read. */
  rotate(): Promise<void> {
    return this.append([ROTATE.toString()]);
  }

  /** Whether the path still names this file. */
  get isInPlace(): boolean {
    return this.file.isInPlace;
  }

  /** Every process that follows this file notices that its history is void. */
  cut(): void {
    this.file.cut();
  }

  /** Closes the file once nothing uses it any more. */
  retire(): void {
    this.isRetired = true;
    this.closeIfIdle();
  }

  private async using(work: () => Promise<void>): Promise<void> {
    this.busy++;
    try {
      await work();
    } finally {
      this.busy--;
      this.closeIfIdle();
    }
  }

  private closeIfIdle(): void {
    if (!this.isRetired || this.busy > 0) return;
    this.busy = Infinity;
    this.file.close();
  }

  private recordOf(body: Buffer): Buffer {
    const record = Buffer.allocUnsafe(FRAME_BYTES + body.length);
    record.writeUInt16LE(RECORD_MAGIC, 0);
    record.writeUInt32LE(body.length, 2);
    record.set(body, AT_BODY);
    record.writeUInt32LE(this.checksumOf(record), AT_BODY + body.length);
    return record;
  }

  private checksumOf(record: Buffer): number {
    return crc32(record.subarray(0, record.length - CHECKSUM_BYTES), this.header.salt);
  }

  /** Hands over the whole records at the start of `bytes`. */
  private take(bytes: Buffer, on: (body: string, position: number, checksum: number) => void): Followed {
    let at = 0;
    for (;;) {
      const start = this.nextSound(bytes, at);
      if (start === undefined) return 'end';
      const end = start + FRAME_BYTES + bytes.readUInt32LE(start + 2);
      this.offset += end - at;
      this.checksum = bytes.readUInt32LE(end - CHECKSUM_BYTES);
      at = end;
      const body = bytes.subarray(start + AT_BODY, end - CHECKSUM_BYTES);
      if (body.equals(ROTATE)) return 'rotated';
      on(body.toString(), this.position, this.checksum);
    }
  }

  /** Where the first whole record from `at` on begins. */
  private nextSound(bytes: Buffer, at: number): number | undefined {
    for (let start = at; start + FRAME_BYTES <= bytes.length; start++) {
      if (bytes.readUInt16LE(start) !== RECORD_MAGIC) continue;
      const length = bytes.readUInt32LE(start + 2);
      const end = start + FRAME_BYTES + length;
      if (length > MAX_BODY_BYTES || end > bytes.length) continue;
      const record = bytes.subarray(start, end);
      if (this.checksumOf(record) === record.readUInt32LE(record.length - CHECKSUM_BYTES)) return start;
    }
    return undefined;
  }
}

/** Read into by all segments: nothing else runs while one reads. */
const SHARED = Object.freeze({ buffer: Buffer.allocUnsafe(READ_BYTES) });

function headerOf({ generation, salt, base }: Header): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.write(HEADER_MAGIC, 0, 'latin1');
  bytes.writeUInt32LE(FORMAT, 12);
  bytes.write(generation, 16, 'hex');
  bytes.writeUInt32LE(salt, 32);
  bytes.writeDoubleLE(base, 36);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, HEADER_BYTES - CHECKSUM_BYTES)), HEADER_BYTES - CHECKSUM_BYTES);
  return bytes;
}

function parseHeader(bytes: Buffer, path: string): Header | undefined {
  if (bytes.toString('latin1', 0, HEADER_MAGIC.length) !== HEADER_MAGIC) return undefined;
  const sound = crc32(bytes.subarray(0, HEADER_BYTES - CHECKSUM_BYTES)) === bytes.readUInt32LE(HEADER_BYTES - 4);
  const format = bytes.readUInt32LE(12);
  if (format > FORMAT) {
    throw new LaneCacheError(
      'FORMAT_UNSUPPORTED',
      `${path} was written in format ${format}; this release reads up to ${FORMAT}. Use the release that wrote it, or another directory.`,
      { field: 'directory' },
    );
  }
  if (!sound) return undefined;
  return {
    generation: bytes.toString('hex', 16, 32),
    salt: bytes.readUInt32LE(32),
    base: bytes.readDoubleLE(36),
  };
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
      fs.fsyncSync(fd);
      linkSync(draft, path);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
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
      fs.fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  private pathOf(name: string): string {
    return `${this.directory}/${name}`;
  }
}
