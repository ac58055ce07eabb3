import { randomId, type Clock } from '../clock/clock.js';

/** A holder that does not extend its lease loses it after this. */
export const LEASE_MS = 3_000;
const EXTEND_EVERY_MS = LEASE_MS / 3;

/** A request about the lease on an id. The token names the holder. */
export interface LeaseRequest {
  readonly action: 'take' | 'extend' | 'release';
  readonly id: string;
  readonly token: string;
  /** Whether the holder may be cut off from the store while it lives. Such a lease must be extended. */
  readonly isRemote?: boolean;
}

/** `leftMs`: how long the lease of another holder still lasts unless it is extended. */
export type LeaseAnswer = { readonly isHeld: true } | { readonly isHeld: false; readonly leftMs: number };

/** Where processes agree on who holds what. A lease ends by itself when its holder does not extend it. */
export interface LeasePort {
  /** Takes, extends or releases the lease on an id. A take or a release that rejects leaves no lease behind. */
  lease(request: LeaseRequest): Promise<LeaseAnswer>;
}

/** A lease that this process holds. It is extended until it is released. */
export class Lease {
  private cancel: () => void = () => undefined;

  private constructor(
    private readonly port: LeasePort,
    private readonly clock: Clock,
    private readonly id: string,
    readonly token: string,
  ) {}

  /** The lease, or how long that of another holder still lasts. */
  static async take(port: LeasePort, clock: Clock, id: string): Promise<Lease | { readonly leftMs: number }> {
    const token = randomId();
    const answer = await port.lease({ action: 'take', id, token });
    if (!answer.isHeld) return answer;
    const lease = new Lease(port, clock, id, token);
    lease.extendLater();
    return lease;
  }

  /** Never rejects. A lease that cannot be released ends by itself. */
  async release(): Promise<void> {
    this.cancel();
    await this.ask('release');
  }

  private extendLater(): void {
    this.cancel = this.clock.schedule(EXTEND_EVERY_MS, () => {
      void this.ask('extend');
      this.extendLater();
    });
  }

  private async ask(action: 'extend' | 'release'): Promise<void> {
    const { id, token } = this;
    await this.port.lease({ action, id, token }).catch(() => undefined);
  }
}
