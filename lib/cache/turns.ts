import { type Clock, randomId, type KeepAlive } from '../clock/clock.js';

/** The turn of a process to compute a key. */
export interface Turn {
  /** Names the lease. Undefined while nobody can be asked. */
  readonly token?: string;
  /** Whether the value may be stored: false once another process has taken the turn over. Never rejects. */
  isHeld(): Promise<boolean>;
  /** Ends the turn: the value is stored, or the computation has failed. */
  end(): void;
}

/** Lets processes compute a key one at a time. */
export interface Turns {
  /**
   * Resolves to a turn when this process may compute the key, or to 'ended' when the turn of another process has ended
   * and its value may be there. Never rejects, and waits for a bounded time. While nobody can be asked, every process has
   * a turn. `blocked` is called when another process has the turn, before its end is awaited.
   */
  take(lane: string, key: string, blocked?: () => void): Promise<Turn | 'ended'>;
}

/** Where processes agree on who holds a lease. A lease ends by itself when its holder does not extend it. */
export interface LeaseTable {
  nameOf(lane: string, key: string): string;
  /** 'taken', or for how many ms the lease of another holder still lasts. Rejects if nobody can be asked. */
  take(name: string, token: string): Promise<'taken' | number>;
  /** False if another holder has taken it over. One that has only lapsed is taken again. Rejects if nobody can be asked. */
  extend(name: string, token: string): Promise<boolean>;
  release(name: string, token: string): Promise<void>;
  /** Is called before a take, so that a release right after it is not missed. */
  listen(name: string): Listening;
}

interface Listening {
  /** Resolves when the lease that another holder has is released. Rejects if nobody can be asked. */
  whenEnded(): Promise<void>;
  stop(): void;
}

interface LeasedTurnsOptions {
  readonly table: LeaseTable;
  readonly clock: Clock;
  /** Resolves when the entries that are being written are where other processes find them. */
  readonly written: () => Promise<unknown>;
  readonly hold: KeepAlive;
}

/** A holder that does not extend its lease may lose it after this. */
export const TURN_LEASE_MS = 3_000;
/** The longest wait for other processes. */
const WAIT_AT_MOST_MS = 30_000;

const OWN_TURN: Turn = Object.freeze({ isHeld: () => Promise.resolve(true), end: () => undefined });

/** Turns as leases: with a token, an end, and word of it when they are released. */
export class LeasedTurns implements Turns {
  constructor(private readonly options: LeasedTurnsOptions) {}

  take(lane: string, key: string, blocked?: () => void): Promise<Turn | 'ended'> {
    return this.options.hold.during(this.awaitTurn(this.options.table.nameOf(lane, key), blocked));
  }

  private async awaitTurn(name: string, blocked?: () => void): Promise<Turn | 'ended'> {
    const { table, clock } = this.options;
    const token = randomId();
    const giveUpAt = clock.monotonic() + WAIT_AT_MOST_MS;
    for (;;) {
      const listening = table.listen(name);
      try {
        const askedAt = clock.monotonic();
        const answer = await table.take(name, token);
        if (answer === 'taken') return new LeasedTurn(this.options, name, token, askedAt);
        const leftMs = Math.min(Math.max(answer, 1), giveUpAt - clock.monotonic());
        if (leftMs <= 0) return OWN_TURN;
        blocked?.();
        if (await this.endsWithin(listening, leftMs)) return 'ended';
      } catch {
        return OWN_TURN;
      } finally {
        listening.stop();
      }
    }
  }

  private endsWithin(listening: Listening, ms: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const cancel = this.options.clock.schedule(ms, () => resolve(false));
      const settle = (work: () => void): void => {
        cancel();
        work();
      };
      listening.whenEnded().then(
        () => settle(() => resolve(true)),
        (error: unknown) => settle(() => reject(error)),
      );
    });
  }
}

/** A lease that this process holds, and extends until the turn ends. */
class LeasedTurn implements Turn {
  private isLost = false;
  private hasEnded = false;
  /** Until then nobody else can have it, also if this process was stopped meanwhile. */
  private heldUntil: number;
  private cancel: () => void = () => undefined;

  constructor(
    private readonly options: LeasedTurnsOptions,
    private readonly name: string,
    readonly token: string,
    askedAt: number,
  ) {
    this.heldUntil = askedAt + TURN_LEASE_MS;
    this.extendLater();
  }

  async isHeld(): Promise<boolean> {
    if (!this.hasEnded && !this.isLost && this.options.clock.monotonic() >= this.heldUntil) await this.extend();
    return !this.hasEnded && !this.isLost;
  }

  end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.cancel();
    void this.release();
  }

  private extendLater(): void {
    this.cancel = this.options.clock.schedule(TURN_LEASE_MS / 3, () => {
      void this.extend();
      this.extendLater();
    });
  }

  private async extend(): Promise<void> {
    const { table, clock } = this.options;
    const askedAt = clock.monotonic();
    try {
      if (await table.extend(this.name, this.token)) this.heldUntil = askedAt + TURN_LEASE_MS;
      else this.isLost = true;
    } catch {
      // While nobody can be asked, every process has a turn.
    }
  }

  /** After the entry is written, so that the next process finds it. */
  private async release(): Promise<void> {
    try {
      await this.options.written();
      await this.options.table.release(this.name, this.token);
    } catch {
      // The lease ends by itself.
    }
  }
}
