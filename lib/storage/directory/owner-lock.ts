import type { Clock } from '../../clock/clock.js';
import { Repetition } from '../../clock/retry.js';
import { toFault } from '../environment.js';
import { ensurePrivateDirectory } from '../files/private-directory.js';
import { type ActiveLock, type Claim, Claims, type Liveness, type LockHolder, SocketPlace } from './claims.js';

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
  /** Who owns it, as far as is known; asks the directory anew. */
  owner(): Promise<LockHolder | undefined>;
  /** The owner when asked first. */
  readonly first: LockHolder;
  /**
   * Tries when the owner ends, and every half second, without keeping the process alive. Calls `taken` once this process
   * owns the directory, and `changed` when another process has become the owner. Returns the function that stops trying.
   * Ownership that is taken while it stops is released again.
   */
  whenFree(taken: (owned: Owned) => void, changed?: (owner: LockHolder) => void): () => Promise<void>;
}

export type Ownership = Owned | InUse;

const nothing = (): void => undefined;

const POLL_MS = 500;
const HEARTBEAT_MS = 10_000;
/** Looking, not a timer, passes the time until claims of the same moment have settled: timers keep no process alive. */
const MAX_LOOKS = 240;

const NOBODY: ActiveLock = Object.freeze({
  id: '',
  holder: { pid: 0, host: '', bootId: undefined, session: undefined },
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
      owner: async () => (await this.claims.others()).find(({ entered }) => entered)?.holder,
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
    await claim.enter();
    await this.claims.tidy();
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
