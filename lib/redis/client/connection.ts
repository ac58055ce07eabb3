import type { Clock } from '../../clock/clock.js';
import { DeadlineError, withDeadline } from '../../clock/timers.js';
import type { KeepAlive } from '../../clock/keep-alive.js';
import type { RedisArgument, RedisPort, Script } from './redis-client.js';

export interface ConnectionOptions {
  /** How long a command may take. */
  readonly timeoutMs: number;
  readonly hold: KeepAlive;
  /** `isSound` has changed: for the worse with an error. */
  readonly changed: (error: Error | undefined) => void;
}

/** A server that answers no command for so long is gone, even if the other connection is open. */
const SILENT_AT_MOST_MS = 1_000;
/** How long a command may take that only asks whether commands are answered. */
const PROBED_WITHIN_MS = 500;
/** How long opening two connections may take. */
const OPEN_WITHIN_MS = 3_000;

/**
 * Two connections that are opened and closed together: one for commands, one that follows the log. A failed pair is never
 * used again; the next one starts with a handshake.
 */
export class Connection {
  /** Rejects when the connection has failed. */
  readonly failure: Promise<never>;
  private answers: 'in-time' | 'late' = 'in-time';
  private reject: (error: Error) => void = () => undefined;
  private hasFailed = false;
  /** How many commands the server has answered. */
  private answered = 0;

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

  /** false from a command that was not answered in time until one is. */
  get isSound(): boolean {
    return this.answers === 'in-time' && !this.hasFailed;
  }

  async run(script: Script, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown> {
    return this.noting(script.run(this.commands, keys, args, this.settings.timeoutMs));
  }

  /**
   * As `run`, for commands of which many are on their way at once: those ahead in the queue are this process's own load. The
   * deadline begins anew as long as the server answers any of them.
   */
  async runInQueue(script: Script, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown> {
    return this.noting(this.whileAnswering(script.run(this.commands, keys, args, Infinity)));
  }

  async command(args: readonly RedisArgument[]): Promise<unknown> {
    return this.noting(this.commands.command(args, { timeoutMs: this.settings.timeoutMs }));
  }

  fail(error: Error): void {
    if (this.hasFailed) return;
    this.hasFailed = true;
    this.reject(error);
    void this.hangUp();
  }

  private async hangUp(): Promise<void> {
    await Promise.allSettled([this.commands.close(), this.follower.close()]);
  }

  private async whileAnswering<T>(sent: Promise<T>): Promise<T> {
    for (;;) {
      const before = this.answered;
      try {
        return await withDeadline(this.clock, sent, this.settings.timeoutMs, 'Redis');
      } catch (error) {
        if (!(error instanceof DeadlineError) || this.answered === before || this.hasFailed) throw error;
      }
    }
  }

  private async noting<T>(answer: Promise<T>): Promise<T> {
    try {
      const given = await this.settings.hold.during(answer);
      this.answered++;
      return given;
    } catch (error) {
      if (error instanceof DeadlineError && this.isSound) {
        this.answers = 'late';
        this.settings.changed(error);
        void this.probe(this.settings.timeoutMs);
      }
      throw error;
    }
  }

  /** Asks until commands are answered again, which an error is too. A server that is silent for too long is given up. */
  private async probe(silentMs: number): Promise<void> {
    const timeoutMs = Math.min(this.settings.timeoutMs, PROBED_WITHIN_MS);
    for (let silent = silentMs; !this.hasFailed; silent += timeoutMs) {
      const isAnswered = await this.commands.command(['PING'], { timeoutMs }).then(
        () => true,
        (error: unknown) => !(error instanceof DeadlineError),
      );
      if (isAnswered) break;
      if (silent + timeoutMs >= SILENT_AT_MOST_MS) this.fail(new Error('commands to Redis are not answered'));
    }
    if (this.hasFailed) return;
    this.answers = 'in-time';
    this.settings.changed(undefined);
  }
}
