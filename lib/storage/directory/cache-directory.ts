import { readdirSync, readFileSync, statSync } from 'node:fs';
import { lstat, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, randomId } from '../../clock/clock.js';
import { isLaneCacheError } from '../../errors/lane-cache.error.js';
import {
  isErrno,
  orFault,
  StorageFault,
  toFault,
  type Durability,
  type Environment,
  type StorageReporter,
} from '../environment.js';
import { ensurePrivateDirectory, syncDirectory, syncFile } from '../files/private-directory.js';
import { copyPlace } from '../lmdb/lmdb-environment.js';
import { type OpenDirectories, openEnvironment } from '../lmdb/open-environment.js';
import { discard, removeDiscarded } from '../files/quarantine.js';
import { type Liveness, SocketPlace, acquireOwnership, type Owned } from './owner-lock.js';

const HOLDER = 'alive';
/** Created when the session is held, so that a session that is being created does not count as dead. */
const HELD = 'held';
const SERVER = 'server';
const SESSION = /^\d+-[0-9a-f]{12}$/;
const UNHELD_GRACE_MS = 86_400_000;

/** A directory of this process alone, for what need not outlive it. */
export interface Session {
  readonly name: string;
  readonly directory: string;
  /** Removes it. What is open in it must be closed before. Idempotent. */
  remove(): Promise<void>;
}

interface LaneCacheDirectoryOptions {
  readonly root: string;
  readonly liveness: Liveness;
  readonly clock: Clock;
}

/**
 * The directory of an app:
 * - `l3/` and `checkpoints/`: the owner's environments
 * - `claims/`: which process owns them
 * - `sessions/<pid>-<random>/`: one for each living process
 * - `missed-*`: notes for the next owner
 * - `outbox-*`: records for other machines
 * - `*.bad-*`: quarantines
 */
export class LaneCacheDirectory {
  readonly l3: string;
  readonly claims: string;
  readonly sessions: string;

  private constructor(private readonly options: LaneCacheDirectoryOptions) {
    this.l3 = join(options.root, 'l3');
    this.claims = join(options.root, 'claims');
    this.sessions = join(options.root, 'sessions');
  }

  /**
   * Makes the directory, if need be, with a `.gitignore` that hides it. One that holds something else already keeps its
   * rights and gets no `.gitignore`. Throws `DIRECTORY_UNSUITABLE` or `StorageFault`.
   */
  static async prepare(options: LaneCacheDirectoryOptions): Promise<LaneCacheDirectory> {
    const { root } = options;
    const names = await namesIn(root);
    const isOurs = names.length === 0 || ['claims', 'sessions', 'log'].some((name) => names.includes(name));
    await ensurePrivateDirectory(root, isOurs ? 'tighten' : 'keep');
    if (isOurs) await hideFromGit(root);
    const directory = new LaneCacheDirectory(options);
    await ensurePrivateDirectory(directory.sessions);
    return directory;
  }

  /** Creates the session of this process, which lasts while the process lives. Others can read what it says about itself. */
  async openSession({ version, server }: Pick<DirectoryUser, 'version' | 'server'>): Promise<Session> {
    const name = `${process.pid}-${randomId().slice(0, 12)}`;
    const directory = join(this.sessions, name);
    await ensurePrivateDirectory(directory);
    const undo: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true, force: true })];
    let removed: Promise<void> | undefined;
    const remove = async (): Promise<void> => {
      for (const step of undo.toReversed()) await step();
    };
    try {
      const place = await SocketPlace.at(directory);
      undo.push(() => place.leave());
      undo.push(await this.options.liveness.hold(place.socketPath(HOLDER)));
      if (server !== undefined) await writeFile(join(directory, SERVER), server, { mode: 0o600 });
      await writeFile(join(directory, HELD), version, { mode: 0o600 });
    } catch (error) {
      // The disk may be full. It is tried again with another session.
      await remove().catch(() => undefined);
      throw isLaneCacheError(error) ? error : toFault(error, `preparing ${directory}`);
    }
    return { name, directory, remove: () => (removed ??= remove()) };
  }

  /** The processes that use the directory, oldest first. One that was killed counts until its session is removed. */
  processes(): readonly DirectoryUser[] {
    try {
      const names = [...readdirSync(this.sessions)].filter((name) => SESSION.test(name));
      return names.flatMap((name) => userOf(join(this.sessions, name), name)).toSorted((a, b) => a.since - b.since);
    } catch {
      return [];
    }
  }

  /**
   * Removes the sessions of processes that have ended, on this machine or before its last boot, and nothing else. A
   * session that is not held yet counts as alive for a day. Returns how many were removed.
   */
  async removeDeadSessions(): Promise<number> {
    let removed = 0;
    for (const name of await namesIn(this.sessions)) {
      if (SESSION.test(name) && (await this.removeIfDead(join(this.sessions, name)))) removed++;
    }
    return removed;
  }

  /** False also where it cannot be removed, as on a disk that is read-only: each sweep tries it again. */
  private async removeIfDead(session: string): Promise<boolean> {
    try {
      if (!(await this.isDead(session))) return false;
      await rm(session, { recursive: true, force: true });
      return true;
    } catch {
      return false;
    }
  }

  private async isDead(directory: string): Promise<boolean> {
    const names = await namesIn(directory);
    if (!names.includes(HELD)) {
      const status = await stat(directory).catch(() => undefined);
      return status !== undefined && this.options.clock.now() - status.mtimeMs > UNHELD_GRACE_MS;
    }
    const place = await SocketPlace.at(directory);
    try {
      return !(await this.options.liveness.isHeld(place.socketPath(HOLDER)));
    } finally {
      await place.leave();
    }
  }
}

/** A process, or a thread of one, that uses the directory. */
interface DirectoryUser {
  /** The name of its session. */
  readonly session: string;
  readonly pid: number;
  /** Epoch ms. */
  readonly since: number;
  readonly version: string;
  /** What it shares entries through, as a text. Undefined in a process that does not say so. */
  readonly server: string | undefined;
}

function userOf(session: string, name: string): readonly DirectoryUser[] {
  try {
    const held = join(session, HELD);
    const pid = Number.parseInt(name, 10);
    const version = readFileSync(held, 'utf8');
    return [{ session: name, pid, since: statSync(held).mtimeMs, version, server: serverOf(session) }];
  } catch {
    return [];
  }
}

function serverOf(session: string): string | undefined {
  try {
    return readFileSync(join(session, SERVER), 'utf8');
  } catch {
    return undefined;
  }
}

const namesIn = async (directory: string): Promise<readonly string[]> => {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return [];
    throw toFault(error, `looking into ${directory}`);
  }
};

const hideFromGit = async (root: string): Promise<void> => {
  try {
    await writeFile(join(root, '.gitignore'), '*\n', { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw toFault(error, `writing into ${root}`);
  }
};

const NAME = 'app.json';

/** Writes the app record into the directory, in place of the one before: whole or not at all. Throws `StorageFault`. */
export const writeAppRecord = (root: string, note: unknown): Promise<void> => {
  const path = join(root, NAME);
  return orFault(`writing ${path}`, async () => {
    await writeFile(`${path}.new`, JSON.stringify(note), { mode: 0o600 });
    await rename(`${path}.new`, path);
  });
};

/** The record of the last app. Undefined if there is none, or it cannot be parsed. Throws `StorageFault` if it may not be read. */
export const readStoredRecord = async (root: string): Promise<unknown> => {
  const path = join(root, NAME);
  try {
    const note: unknown = JSON.parse(await readFile(path, 'utf8'));
    return note;
  } catch (error) {
    if (error instanceof SyntaxError || isErrno(error, 'ENOENT')) return undefined;
    throw toFault(error, `reading ${path}`);
  }
};

interface OwnershipCheckOptions extends LaneCacheDirectoryOptions {
  /** The name of this process's session. */
  readonly session?: string | undefined;
  /** Called when the directory was created and claimed again. */
  readonly renewed: () => Promise<void>;
  /** Called once for as long as another process has the directory. */
  readonly refused: (ownerPid: number) => void;
}

/**
 * The ownership of an app's directory. It is verified before anything in it is opened or renamed: a person who removes the
 * directory removes the claim, and another process may have created both again.
 */
export class OwnershipCheck {
  private verifying: Promise<void> | undefined;
  private isRefused = false;

  constructor(
    private owned: Owned,
    private readonly options: OwnershipCheckOptions,
  ) {}

  /** Rejects with `StorageFault` if the directory belongs to another process by now. */
  require(): Promise<void> {
    this.verifying ??= this.verify().finally(() => (this.verifying = undefined));
    return this.verifying;
  }

  release(): Promise<void> {
    return this.owned.release();
  }

  private async verify(): Promise<void> {
    const { owned, options } = this;
    if (await owned.isHeld()) return;
    const { root, liveness, clock, session } = options;
    const { claims } = await LaneCacheDirectory.prepare(options);
    const again = await acquireOwnership({ directory: claims, liveness, clock, session });
    if (again.state === 'in-use') {
      await again.whenFree(() => undefined)();
      if (!this.isRefused) options.refused(again.first.pid);
      this.isRefused = true;
      throw new StorageFault('gone', `'${root}' was removed, and process ${again.first.pid} has it now`);
    }
    this.owned = again;
    this.isRefused = false;
    await owned.release().catch(() => undefined);
    await options.renewed();
  }
}

interface CacheFolderOptions {
  readonly directory: string;
  readonly durability: Durability;
  readonly clock: Clock;
  /** Default: 256 MB or 5 % of the volume, whichever is smaller. */
  readonly minFreeBytes?: number | undefined;
  readonly deadlineMs: number;
  readonly opened?: OpenDirectories | undefined;
  /** See `OpenEnvironmentOptions`. */
  readonly requireOwnership?: (() => Promise<void>) | undefined;
}

/** A folder of cached entries. It may be lost at any time, but must never come back once it was discarded. */
export class CacheFolder {
  constructor(private readonly options: CacheFolderOptions) {}

  /** Throws `StorageFault`. */
  async open(report: StorageReporter): Promise<Environment> {
    await removeDiscarded(this.options.directory);
    await rm(copyPlace(this.options.directory), { recursive: true, force: true }).catch(() => undefined);
    return openEnvironment({ ...this.options, report, onMarkerLeft: 'quarantine' });
  }

  /** Renames the folder away durably, which works on a full disk too, and deletes it. It must not be open. Throws `StorageFault`. */
  async discard(): Promise<void> {
    try {
      await discard(this.options.directory, this.options.clock);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    this.options.opened?.delete(this.options.directory);
  }
}

function isMissing(error: unknown): boolean {
  return isErrno(error, 'ENOENT') || (error instanceof Error && isErrno(error.cause, 'ENOENT'));
}

interface PersistentFolderOptions extends Omit<CacheFolderOptions, 'durability'> {
  /** Where processes leave their notes of missed invalidations. */
  readonly root: string;
  /** Asked before anything is opened or renamed; rejects with `StorageFault` if the folder is not this process's any more. */
  readonly requireOwnership: () => Promise<void>;
}

/** The folder of entries that outlive the process. It is emptied before it is opened if it has missed invalidations. */
export class PersistentFolder {
  private readonly folder: CacheFolder;

  constructor(private readonly options: PersistentFolderOptions) {
    this.folder = new CacheFolder({ ...options, durability: 'durable' });
  }

  /** Throws `StorageFault`. */
  async open(report: StorageReporter): Promise<Environment> {
    const { requireOwnership, root } = this.options;
    await requireOwnership();
    const notes = await missedNotes(root);
    if (notes.length > 0) await this.folder.discard();
    await forgetMissed(root, notes);
    return this.folder.open(report);
  }

  /** See `CacheFolder`. */
  async discard(): Promise<void> {
    await this.options.requireOwnership();
    await this.folder.discard();
  }
}

const MISSED_PREFIX = 'missed-';

/**
 * Notes, durably, that a process which does not own the persistent tier invalidated something that the tier did not
 * learn of. A process that opens the tier and finds a note voids the tier first, then deletes the note. Throws `StorageFault`.
 */
export const noteMissed = (root: string): Promise<string> =>
  orFault(`noting a missed invalidation in ${root}`, async () => {
    const path = join(root, `${MISSED_PREFIX}${randomId()}`);
    const file = await open(path, 'wx', 0o600);
    try {
      await syncFile(file);
    } finally {
      await file.close();
    }
    await syncDirectory(root);
    return path;
  });

/** The notes that lie in `root`. Throws `StorageFault`: not knowing must not be taken for none. */
export const missedNotes = async (root: string): Promise<readonly string[]> => {
  try {
    return (await readdir(root)).filter((name) => name.startsWith(MISSED_PREFIX)).map((name) => join(root, name));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw toFault(error, `looking for missed invalidations in ${root}`);
  }
};

/** Deletes the notes that were found, not later ones, durably. */
export const forgetMissed = (root: string, notes: readonly string[]): Promise<void> =>
  orFault(`forgetting missed invalidations in ${root}`, async () => {
    for (const note of notes) await rm(note, { force: true });
    if (notes.length > 0) await syncDirectory(root);
  });

const isAbsent = async (path: string): Promise<boolean> => {
  try {
    await lstat(path);
    return false;
  } catch (error) {
    return isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR');
  }
};

/** The note of one process. It is written before its first invalidation counts, and again after an owner has taken it. */
export class MissedMarker {
  private path: string | undefined;
  private making: Promise<void> = Promise.resolve();
  private next: Promise<void> | undefined;

  /** `persistent`: the folder of the persistent tier. A missing folder cannot have missed anything. */
  constructor(
    private readonly root: string,
    private readonly persistent: string,
  ) {}

  /** Resolves when a note is on disk durably. Rejects with `StorageFault`. Concurrent callers share one check. */
  ensure(): Promise<void> {
    this.next ??= this.making.then(() => {
      this.next = undefined;
      const made = this.make();
      this.making = made.catch(() => undefined);
      return made;
    });
    return this.next;
  }

  /** Resolves when every requested note is written or has failed. */
  async made(): Promise<void> {
    await this.next?.catch(() => undefined);
    await this.making;
  }

  private async make(): Promise<void> {
    if (await isAbsent(this.persistent)) return;
    if (this.path !== undefined && (await missedNotes(this.root)).includes(this.path)) return;
    this.path = await noteMissed(this.root);
  }
}
