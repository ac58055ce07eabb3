import type { Clock } from '../../clock/clock.js';
import { DeadlineError, withDeadline } from '../../clock/timers.js';
import type { KeepAlive } from '../../clock/keep-alive.js';
import type { RedisArgument, RedisPort, Script } from './redis-client.js';

export interface ConnectionOptions {
  /** How long a command may take. */
  readonly timeoutMs: number;
  readonly hold: KeepAlive;
}

/** A server that answers no command for so long is gone, even if the other connection is open. */
const SILENT_AT_MOST_MS = 1_000;
/** How long opening two connections may take. */
const OPEN_WITHIN_MS = 3_000;

/**
 * Two connections that are opened and closed together: one for commands, one that follows the log. A failed pair is never
 * used again; the next one starts with a handshake.
 */
export class Connection {
  /** Rejects when the connection has failed. */
  readonly failure: Promise<never>;
  /** false from a command that was not answered in time until the next heartbeat. */
  isSound = true;
  private reject: (error: Error) => void = () => undefined;
  private hasFailed = false;
  private silentSince: number | undefined;

  static async open(template: RedisPort, clock: Clock, settings: ConnectionOptions): Promise<Connection> {
    const opening = [template.duplicate(), template.duplicate()] as const;
    try {
      const both = Promise.all(opening);
      const [commands, follower] = await withDeadline(clock, both, OPEN_WITHIN_MS, 'connecting to Redis');
      return new Connection(commands, follower, clock, settings);
    } catch (error) {
      for (const one of opening) {
        one.then(
          (port) => port.close(),
          () => undefined,
        );
      }
      throw error;
    }
  }

  private constructor(
    private readonly commands: RedisPort,
    readonly follower: RedisPort,
    private readonly clock: Clock,
    private readonly settings: ConnectionOptions,
  ) {
    this.failure = new Promise((_, reject) => (this.reject = reject));
    this.failure.catch(() => undefined);
    for (const port of [commands, follower]) {
      port.onStateChange((connected) => {
        if (!connected) this.fail(new Error('the connection to Redis was lost'));
      });
      if (!port.connected) this.fail(new Error('the connection to Redis was lost'));
    }
  }

  async run(script: Script, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown> {
    return this.noting(script.run(this.commands, keys, args, this.settings.timeoutMs));
  }

  async command(args: readonly RedisArgument[]): Promise<unknown> {
    return this.noting(this.commands.command(args, { timeoutMs: this.settings.timeoutMs }));
  }

  fail(error: Error): void {
    if (this.hasFailed) return;
    this.hasFailed = true;
    this.isSound = false;
    this.reject(error);
    void this.hangUp();
  }

  private async hangUp(): Promise<void> {
    await Promise.allSettled([this.commands.close(), this.follower.close()]);
  }

  private async noting<T>(answer: Promise<T>): Promise<T> {
    const askedAt = this.clock.monotonic();
    try {
      const answered = await this.settings.hold.during(answer);
      this.silentSince = undefined;
      return answered;
    } catch (error) {
      if (error instanceof DeadlineError) this.unanswered(askedAt);
      else this.silentSince = undefined;
      throw error;
    }
  }

  private unanswered(askedAt: number): void {
    this.isSound = false;
    this.silentSince ??= askedAt;
    if (this.clock.monotonic() - this.silentSince < SILENT_AT_MOST_MS) return;
    this.fail(new Error('commands to Redis are not answered'));
  }
}
