import { readdir, readFile, rename, rm, stat, utimes, writeFile, open, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type Clock, randomId } from '../../clock/clock.js';
import { Repetition } from '../../clock/retry.js';
import { toFault, isErrno } from '../environment.js';
import { ensurePrivateDirectory } from '../files/private-directory.js';
import { bootId } from '../lmdb/integrity-check.js';
import { LaneCacheError } from '../../errors/lane-cache.error.js';

interface OwnerOptions {
  /** The folder of claims, see `LaneCacheDirectory`. */
  readonly directory: string;
  readonly liveness: Liveness;
  readonly clock: Clock;
  /** The name of this process's session. Absent where the claim is not on the directory of an app. */
  readonly session?: string | undefined;
}

export interface Owned {
  readonly state: 'owned';
  /** Whether the claim is still there for others to see; if not, another process may own the directory. */
  isHeld(): Promise<boolean>;
  /** Lets others take over. Everything in the directory must be closed before. Idempotent. */
  release(): Promise<void>;
}

export interface InUse {
  readonly state: 'in-use';
  /** Who owned it when it was claimed. */
  readonly first: LockHolder;
  /**
   * Tries when the owner ends, and every half second, without keeping the process alive. Calls `taken` once this process
   * owns the directory, and `changed` when another process has become the owner. Returns the function that stops trying.
   * Ownership that is taken while it stops is released again.
   */
  whenFree(taken: (owned: Owned) => void, changed?: (owner: LockHolder) => void): () => Promise<void>;
}

type Ownership = Owned | InUse;

const nothing = (): void => undefined;

const POLL_MS = 500;
const HEARTBEAT_MS = 10_000;
/** Looking, not a timer, passes the time until claims of the same moment have settled: timers keep no process alive. */
const MAX_LOOKS = 240;

const NOBODY: ActiveLock = Object.freeze({
  id: '',
  holder: { pid: 0, bootId: undefined, session: undefined },
  entered: false,
});

/**
 * Claims `options.directory` for this process, or thread, alone. Each process announces its claim before it looks for
 * others, and owns the directory only if it finds none, so two never own it at once. Of several claims of the same moment
 * all but the one with the smallest id withdraw. A frozen or slow owner stays the owner; an owner that ended does not.
 * Throws `StorageFault` or `DIRECTORY_UNSUITABLE`.
 */
export const acquireOwnership = async (options: OwnerOptions): Promise<Ownership> => {
  await ensurePrivateDirectory(options.directory);
  const place = await SocketPlace.at(options.directory);
  const candidate = new Candidate(options, place);
  try {
    const result = await candidate.tryAcquire();
    return 'state' in result ? result : candidate.inUse(result);
  } catch (error) {
    await place.leave();
    throw toFault(error, `claiming ${options.directory}`);
  }
};

class Candidate {
  private readonly claims: Claims;

  constructor(
    private readonly options: OwnerOptions,
    private readonly place: SocketPlace,
  ) {
    this.claims = new Claims(place, options.liveness, options.clock);
  }

  /** The ownership, or the claim of the process that has it. */
  async tryAcquire(): Promise<Owned | ActiveLock> {
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      const others = await this.claims.others();
      const owner = others.find(({ entered }) => entered);
      if (owner !== undefined) return owner;
      if (others.length > 0) continue;
      const claim = await this.claims.announce(this.options.session);
      if (await this.prevails(claim)) return this.enter(claim);
      await claim.withdraw();
    }
    return NOBODY;
  }

  inUse(first: ActiveLock): InUse {
    return {
      state: 'in-use',
      first: first.holder,
      whenFree: (taken, changed) => this.watch(first, taken, changed),
    };
  }

  /** Whether no other claim is left beside this one. Those with larger ids withdraw. */
  private async prevails(claim: Claim): Promise<boolean> {
    try {
      for (let looks = 0; looks < MAX_LOOKS; looks++) {
        const others = await this.claims.others(claim.id);
        if (others.length === 0) return true;
        if (others.some(({ id, entered }) => entered || id < claim.id)) return false;
      }
      return false;
    } catch (error) {
      await claim.withdraw();
      throw error;
    }
  }

  private async enter(claim: Claim): Promise<Owned> {
    try {
      await claim.enter();
      await this.claims.tidy();
    } catch (error) {
      // Else this process would wait for itself.
      await claim.withdraw();
      throw error;
    }
    const beating = new Repetition(this.options.clock, HEARTBEAT_MS, async () => {
      await claim.beat();
      return 'again';
    });
    let released: Promise<void> | undefined;
    const release = async (): Promise<void> => {
      await beating.stop();
      await claim.withdraw();
      await this.place.leave();
    };
    return { state: 'owned', isHeld: () => claim.isHeld(), release: () => (released ??= release()) };
  }

  private watch(
    first: ActiveLock,
    taken: (owned: Owned) => void,
    changed: (owner: LockHolder) => void = nothing,
  ): () => Promise<void> {
    let stopped = false;
    let left: (() => Promise<void>) | undefined = () => this.place.leave();
    const attempts = new Repetition(this.options.clock, POLL_MS, async () => {
      const result = await this.tryAcquire();
      if (!('state' in result)) {
        if (!stopped && observation.of(result)) changed(result.holder);
        return 'again';
      }
      left = stopped ? () => result.release() : undefined;
      if (!stopped) taken(result);
      return 'done';
    });
    const observation = new Observation(this.options.liveness, this.place, () => attempts.soon());
    observation.of(first);
    return async () => {
      stopped = true;
      observation.end();
      await attempts.stop();
      await left?.();
      left = undefined;
    };
  }
}

/** Notices the end of an owner at once. Each owner is observed once: one that ends observations early is polled instead. */
class Observation {
  private id = '';
  private stop = nothing;

  constructor(
    private readonly liveness: Liveness,
    private readonly place: SocketPlace,
    private readonly ended: () => void,
  ) {}

  /** Whether it is another owner than before. */
  of({ id }: ActiveLock): boolean {
    if (id === this.id) return false;
    this.end();
    this.id = id;
    if (id === '') return false;
    this.stop = this.liveness.whenEnded(this.place.socketPath(id), this.ended);
    return true;
  }

  end(): void {
    this.stop();
    this.stop = nothing;
  }
}

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
  /** The machine's boot; undefined where the system does not name it. */
  readonly bootId: string | undefined;
  /** The name of its session in the directory. Releases before 0.2 do not give it. */
  readonly session: string | undefined;
}

/** Never throws: the content of the file decides nothing by itself. */
const parseHolder = (text: string): LockHolder => {
  const { pid, bootId: boot, session } = fieldsOf(text);
  return {
    pid: typeof pid === 'number' ? pid : 0,
    bootId: typeof boot === 'string' ? boot : undefined,
    session: typeof session === 'string' ? session : undefined,
  };
};

const fieldsOf = (text: string): Readonly<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
};

const CLAIM = '.claim';
const ENTERED = '.owner';
const ID_LENGTH = 16;
const FOREIGN_BOOT_GRACE_MS = 30_000;
const LITTER_AGE_MS = 86_400_000;

/** A claim that another process holds. */
interface ActiveLock {
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
    // The host is for a person who looks into the file.
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

/** A longer socket address would be cut off without an error, and lead somewhere else. */
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

const OWNER = 'owner';

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
    return this.place.socketPath(OWNER);
  }

  /** Removes the socket of an owner that was killed. Only the owner may call it. */
  async clear(): Promise<void> {
    await rm(this.path, { force: true });
  }

  leave(): Promise<void> {
    return this.place.leave();
  }
}
