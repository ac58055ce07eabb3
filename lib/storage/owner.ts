import type { Clock } from '../clock/clock.js';
import { randomFraction } from '../clock/random.js';
import type { Claimant } from './claimant.js';
import { Claims, type Claim } from './claims.js';
import { toFault } from './environment.js';
import type { Liveness } from './liveness.js';
import { ensurePrivateDirectory } from './private-directory.js';
import { repeating } from './repeating.js';
import { SocketPlace } from './socket-place.js';

export interface OwnerOptions {
  /** The folder of claims, see `LaneCacheDirectory`. */
  readonly directory: string;
  readonly liveness: Liveness;
  readonly clock: Clock;
  /** Where this process would answer the others. */
  readonly socket?: string | undefined;
}

export interface Owned {
  readonly state: 'owned';
  /** Whether the claim is still there for others to see; if not, another process may own the directory. */
  stands(): Promise<boolean>;
  /** Lets others take over; everything in the directory must be closed before. Idempotent. */
  release(): Promise<void>;
}

export interface InUse {
  readonly state: 'in-use';
  /** Who owns it, as far as is known; asks the directory anew. */
  owner(): Promise<Claimant | undefined>;
  /** The owner when asked first. */
  readonly ownerPid: number;
  readonly ownerHost: string;
  /**
   * Tries every half second, without keeping the process alive, and calls `taken` once this process owns the directory.
   * Returns the function that stops trying; what is taken while stopping is released again.
   */
  whenFree(taken: (owned: Owned) => void): () => Promise<void>;
}

export type Ownership = Owned | InUse;

const POLL_MS = 500;
const HEARTBEAT_MS = 10_000;
/** Claims made at the same moment all step back, each for a while of its own. */
const MAX_STEPS_BACK = 40;
const MAX_LOOKS = 12;

const NOBODY: Claimant = { pid: 0, host: '', bootId: undefined, socket: undefined };

/**
 * Claims `options.directory` for this process, or thread, alone. Two can never own it at once: each announces its claim
 * before it looks for others, and owns only if it finds none. An owner that is frozen, or slow, stays the owner; one
 * that ended, however, does not. Throws `StorageFault` or `DIRECTORY_UNSUITABLE`.
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

  /** Ownership, or who has it. */
  async tryAcquire(): Promise<Owned | Claimant> {
    for (let steps = 0; steps < MAX_STEPS_BACK; steps++) {
      const owner = await this.owner();
      if (owner !== undefined) return owner;
      const claim = await this.claims.announce(this.options.socket);
      if ((await this.othersThan(claim)) === 0) return this.enter(claim);
      await claim.withdraw();
      await this.stepBack();
    }
    return NOBODY;
  }

  inUse(first: Claimant): InUse {
    return {
      state: 'in-use',
      ownerPid: first.pid,
      ownerHost: first.host,
      owner: () => this.owner(),
      whenFree: (taken) => this.watch(taken),
    };
  }

  private async owner(): Promise<Claimant | undefined> {
    return (await this.claims.others()).find(({ entered }) => entered)?.claimant;
  }

  private async othersThan(claim: Claim): Promise<number> {
    try {
      return (await this.claims.others(claim.id)).length;
    } catch (error) {
      await claim.withdraw();
      throw error;
    }
  }

  private async enter(claim: Claim): Promise<Owned> {
    await claim.enter();
    await this.claims.tidy();
    const stopBeating = repeating(this.options.clock, HEARTBEAT_MS, async () => {
      await claim.beat();
      return 'again';
    });
    let released: Promise<void> | undefined;
    const release = async (): Promise<void> => {
      await stopBeating();
      await claim.withdraw();
      await this.place.leave();
    };
    return { state: 'owned', stands: () => claim.stands(), release: () => (released ??= release()) };
  }

  private watch(taken: (owned: Owned) => void): () => Promise<void> {
    let stopped = false;
    let left: (() => Promise<void>) | undefined = () => this.place.leave();
    const stop = repeating(this.options.clock, POLL_MS, async () => {
      const result = await this.tryAcquire();
      if (!('state' in result)) return 'again';
      left = stopped ? () => result.release() : undefined;
      if (!stopped) taken(result);
      return 'done';
    });
    return async () => {
      stopped = true;
      await stop();
      await left?.();
      left = undefined;
    };
  }

  /** Looking, not a timer, passes the time: timers don't keep a starting process alive. */
  private async stepBack(): Promise<void> {
    const looks = 1 + Math.floor(randomFraction() * MAX_LOOKS);
    for (let n = 0; n < looks; n++) if ((await this.owner()) !== undefined) return;
  }
}
