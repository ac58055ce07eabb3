import { readdir, readFile, rename, rm, stat, utimes, writeFile, open, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type Clock, randomId } from '../../clock/clock.js';
import { isErrno } from '../environment.js';
import { bootId } from '../files/boot-id.js';
import { LaneCacheError } from '../../errors/lane-cache.error.js';

/**
 * A sign of life that others can check: it lasts while its holder lives, and ends with the holder, however it ends. A frozen
 * holder still holds. It works between threads, processes and containers of one machine.
 */
export interface Liveness {
  /** Starts holding at `path`, which must be free. Returns the function that releases it. */
  hold(path: string): Promise<() => Promise<void>>;
  /** Whether a process holds at `path`. True when in doubt. */
  isHeld(path: string): Promise<boolean>;
  /** Calls `ended` once when the holder may have ended. Returns the function that stops waiting for it. */
  whenEnded(path: string, ended: () => void): () => void;
}

/** The holder of a claim, as the claim's file names it. */
export interface LockHolder {
  /** 0 if the file could not be read. */
  readonly pid: number;
  readonly host: string;
  /** The machine's boot; undefined where the system does not name it. */
  readonly bootId: string | undefined;
  /** The name of its session in the directory. Releases before 0.2 do not give it. */
  readonly session: string | undefined;
}

const stringOf = (value: object, name: string): string | undefined => {
  const field: unknown = Reflect.get(value, name);
  return typeof field === 'string' ? field : undefined;
};

/** Never throws: the content of the file decides nothing by itself. */
const parseHolder = (text: string): LockHolder => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const fields = typeof value === 'object' && value !== null ? value : {};
  const pid: unknown = Reflect.get(fields, 'pid');
  return {
    pid: typeof pid === 'number' ? pid : 0,
    host: stringOf(fields, 'host') ?? '',
    bootId: stringOf(fields, 'bootId'),
    session: stringOf(fields, 'session'),
  };
};

const CLAIM = '.claim';
const ENTERED = '.owner';
const ID_LENGTH = 16;
const FOREIGN_BOOT_GRACE_MS = 30_000;
const LITTER_AGE_MS = 86_400_000;

/** A claim that another process holds. */
export interface ActiveLock {
  readonly id: string;
  readonly holder: LockHolder;
  /** Whether it has found no other claim standing beside it, and so owns the directory. */
  readonly entered: boolean;
}

/** One's own announced claim. */
export interface Claim {
  readonly id: string;
  /** Announces to the others that the directory is owned now. */
  enter(): Promise<void>;
  /** Whether the file is still in its place: removing the directory removes the claim as well. */
  isHeld(): Promise<boolean>;
  /** Leaves a sign of life. */
  beat(): Promise<void>;
  withdraw(): Promise<void>;
}

/**
 * The claims on one directory. A claim is a file and a socket named after its id: the socket listens before the file
 * appears, and the file never moves, so a process that lists the directory finds every claim that was announced before.
 */
export class Claims {
  constructor(
    private readonly place: SocketPlace,
    private readonly liveness: Liveness,
    private readonly clock: Clock,
  ) {}

  async announce(session: string | undefined): Promise<Claim> {
    const id = randomId().slice(0, ID_LENGTH);
    const letGo = await this.liveness.hold(this.place.socketPath(id));
    const holder = { pid: process.pid, host: hostname(), bootId: bootId(), session };
    await writeFile(this.path(id, '.tmp'), JSON.stringify(holder), { mode: 0o600 });
    await rename(this.path(id, '.tmp'), this.path(id, CLAIM));
    return {
      id,
      enter: () => writeFile(this.path(id, ENTERED), '', { mode: 0o600 }),
      isHeld: () =>
        stat(this.path(id, CLAIM)).then(
          () => true,
          (error: unknown) => !isErrno(error, 'ENOENT') && !isErrno(error, 'ENOTDIR'),
        ),
      beat: () => {
        const now = this.clock.now() / 1000;
        return utimes(this.path(id, CLAIM), now, now);
      },
      withdraw: async () => {
        await letGo();
        await this.forget(id);
      },
    };
  }

  /** Every claim that another process holds. Claims of dead processes are removed on the way. */
  async others(ownId?: string): Promise<readonly ActiveLock[]> {
    const names = await readdir(this.place.directory);
    const standing: ActiveLock[] = [];
    for (const name of names) {
      const id = name.slice(0, -CLAIM.length);
      if (!name.endsWith(CLAIM) || id === ownId) continue;
      const holder = parseHolder(await readFile(this.path(id, CLAIM), 'utf8').catch(() => ''));
      if (await this.isHeld(id, holder)) standing.push({ id, holder, entered: names.includes(`${id}${ENTERED}`) });
      else await this.forget(id);
    }
    return standing;
  }

  /** Removes the sockets of processes that died between listening and announcing. */
  async tidy(): Promise<void> {
    for (const name of await readdir(this.place.directory)) {
      const path = join(this.place.directory, name);
      const status = await stat(path).catch(() => undefined);
      if (name.endsWith(CLAIM) || status === undefined) continue;
      const id = name.slice(0, ID_LENGTH);
      const isOld = this.clock.now() - status.mtimeMs > LITTER_AGE_MS;
      if (isOld && !(await this.liveness.isHeld(this.place.socketPath(id)))) await rm(path, { force: true });
    }
  }

  private async isHeld(id: string, holder: LockHolder): Promise<boolean> {
    if (await this.liveness.isHeld(this.place.socketPath(id))) return true;
    if (holder.bootId === undefined || holder.bootId === bootId()) return false;
    // another kernel cannot be felt; one that shares this disk, against all rules, shows by its signs of life
    const status = await stat(this.path(id, CLAIM)).catch(() => undefined);
    return status !== undefined && Math.abs(this.clock.now() - status.mtimeMs) < FOREIGN_BOOT_GRACE_MS;
  }

  private async forget(id: string): Promise<void> {
    await rm(this.path(id, CLAIM), { force: true });
    await rm(this.path(id, ENTERED), { force: true });
    await rm(this.place.socketPath(id), { force: true });
  }

  private path(id: string, suffix: string): string {
    return join(this.place.directory, `${id}${suffix}`);
  }
}

/** A longer socket address would be cut off in silence, and lead somewhere else. */
const MAX_SOCKET_PATH_BYTES = 100;
const LONGEST_NAME = 24;

/** A directory for sockets. On Linux it may lie as deep as it likes: its sockets are addressed by way of a descriptor. */
export class SocketPlace {
  private constructor(
    readonly directory: string,
    private readonly handle: FileHandle | undefined,
  ) {}

  /** Throws `DIRECTORY_UNSUITABLE` if the path is too long and the system knows no way round. */
  static async at(directory: string): Promise<SocketPlace> {
    const fits = Buffer.byteLength(directory) + LONGEST_NAME <= MAX_SOCKET_PATH_BYTES;
    if (fits || process.platform === 'win32') return new SocketPlace(directory, undefined);
    if (process.platform === 'linux') return new SocketPlace(directory, await open(directory, 'r'));
    throw new LaneCacheError(
      'DIRECTORY_UNSUITABLE',
      `${directory} is too deep for a socket, whose path may take ${MAX_SOCKET_PATH_BYTES} bytes here. Choose a shorter one.`,
      { field: 'directory' },
    );
  }

  socketPath(name: string): string {
    const file = `${name}.sock`;
    return this.handle === undefined ? join(this.directory, file) : `/proc/self/fd/${this.handle.fd}/${file}`;
  }

  async leave(): Promise<void> {
    await this.handle?.close();
  }
}

const NAME = 'owner';

/**
 * Where the owner of a directory answers other processes: `owner.sock`, in the folder of claims. The claim decides who
 * owns the directory, and its own socket only shows that the owner lives. This one carries the calls; the owner opens it
 * after its claim has prevailed.
 */
export class OwnerSocket {
  private constructor(private readonly place: SocketPlace) {}

  /** `claims` is the folder of claims. Throws `DIRECTORY_UNSUITABLE` if it is too deep for a socket. */
  static async at(claims: string): Promise<OwnerSocket> {
    return new OwnerSocket(await SocketPlace.at(claims));
  }

  /** Valid until `leave` is called. */
  get path(): string {
    return this.place.socketPath(NAME);
  }

  /** Removes the socket of an owner that was killed. Only the owner may call it. */
  async clear(): Promise<void> {
    await rm(this.path, { force: true });
  }

  leave(): Promise<void> {
    return this.place.leave();
  }
}
