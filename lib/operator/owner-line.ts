import { keepAlive } from '../clock/keep-alive.js';
import type { Clock } from '../clock/clock.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { ConnectionLost, OperatorConnection } from './operator-connection.js';

export interface OwnerLineOptions {
  /** Where whoever owns the directory listens. */
  readonly path: string;
  readonly clock: Clock;
  /** How long to look for an owner: one that went away is followed by another within two seconds. */
  readonly deadlineMs: number;
}

const LOOK_AGAIN_MS = 50;

/** The connection to whoever owns the directory, made when it is first needed and again when it was lost. */
export class OwnerLine {
  private connection: OperatorConnection | undefined;
  private connecting: Promise<OperatorConnection | undefined> | undefined;

  constructor(private readonly options: OwnerLineOptions) {}

  /**
   * The connection; undefined once `isSettled` says that there is no need for one. Rejects with CHECKPOINTS_UNAVAILABLE
   * when nobody answers in time. Those who wait at the same time go on in the order in which they came.
   */
  connected(isSettled: () => boolean): Promise<OperatorConnection | undefined> {
    if (isSettled()) return Promise.resolve(undefined);
    if (this.connecting !== undefined && (this.connection === undefined || this.connection.isOpen))
      return this.connecting;
    this.connection = undefined;
    const letGo = keepAlive();
    this.connecting = this.look(isSettled).finally(letGo);
    this.connecting.catch(() => (this.connecting = undefined));
    return this.connecting;
  }

  hangUp(): void {
    this.connection?.close();
    this.connecting = undefined;
    this.connection = undefined;
  }

  private async look(isSettled: () => boolean): Promise<OperatorConnection | undefined> {
    const { clock, deadlineMs, path } = this.options;
    const until = clock.monotonic() + deadlineMs;
    for (;;) {
      if (isSettled()) return undefined;
      const left = Math.max(1, until - clock.monotonic());
      try {
        this.connection = await OperatorConnection.open(path, clock, left);
        return this.connection;
      } catch (error) {
        if (!(error instanceof ConnectionLost) || clock.monotonic() >= until) throw noAnswer(error);
      }
      await new Promise<void>((again) => clock.schedule(LOOK_AGAIN_MS, again));
    }
  }
}

function noAnswer(cause: unknown): LaneCacheError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new LaneCacheError(
    'CHECKPOINTS_UNAVAILABLE',
    `Checkpoints are not available: another process owns the directory, and ${why}. See that it runs, and the same release as this one; the next call tries again.`,
    { cause },
  );
}
