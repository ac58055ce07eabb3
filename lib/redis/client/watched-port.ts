import type { Clock } from '../../clock/clock.js';
import { DeadlineError, withDeadline } from '../../clock/timers.js';
import type { KeepAlive } from '../../clock/keep-alive.js';
import type { RedisArgument, RedisPort } from './redis-client.js';

export interface WatchedPortOptions {
  /** How long a command may take. */
  readonly timeoutMs: number;
  readonly hold: KeepAlive;
  /** `isSound` has changed: for the worse with an error. */
  readonly changed: (error: Error | undefined) => void;
}

/** A server that answers no command for so long is gone, even if the connection stands. */
const SILENT_AT_MOST_MS = 1_000;
/** How long a command may take that only asks whether commands are answered. */
const PROBED_WITHIN_MS = 500;

/** A connection for commands that notices when they are not answered in time, and when they are again. */
export class WatchedPort {
  private answers: 'in-time' | 'late' | 'never-again' = 'in-time';
  /** How many commands the server has answered. */
  private answered = 0;

  constructor(
    private readonly port: RedisPort,
    private readonly clock: Clock,
    private readonly options: WatchedPortOptions,
    /** Called once, when the server has been silent for too long. */
    private readonly gaveUp: (error: Error) => void,
  ) {}

  /** false from a command that was not answered in time until one is. */
  get isSound(): boolean {
    return this.answers === 'in-time' && this.port.connected;
  }

  async command(args: readonly RedisArgument[]): Promise<unknown> {
    return this.watch(this.port.command(args, { timeoutMs: this.options.timeoutMs }));
  }

  /** Waits for the answer, and notes if it does not come in time. */
  async watch<T>(answer: Promise<T>): Promise<T> {
    const { hold, changed, timeoutMs } = this.options;
    try {
      const given = await hold.during(answer);
      this.answered++;
      return given;
    } catch (error) {
      if (error instanceof DeadlineError && this.answers === 'in-time') {
        this.answers = 'late';
        changed(error);
        void this.probe(timeoutMs);
      }
      throw error;
    }
  }

  /** As `watch`, with a deadline that begins anew as long as the server answers any command. */
  async watchInQueue<T>(sent: Promise<T>): Promise<T> {
    return this.watch(this.whileAnswering(sent));
  }

  async close(): Promise<void> {
    this.answers = 'never-again';
    await this.port.close();
  }

  private async whileAnswering<T>(sent: Promise<T>): Promise<T> {
    for (;;) {
      const before = this.answered;
      try {
        return await withDeadline(this.clock, sent, this.options.timeoutMs, 'Redis');
      } catch (error) {
        const isOver = this.answered === before || this.answers === 'never-again';
        if (!(error instanceof DeadlineError) || isOver) throw error;
      }
    }
  }

  /** Asks until commands are answered again, which an error is too. A server that is silent for too long is given up. */
  private async probe(silentMs: number): Promise<void> {
    const timeoutMs = Math.min(this.options.timeoutMs, PROBED_WITHIN_MS);
    for (let silent = silentMs; this.answers === 'late'; silent += timeoutMs) {
      const isAnswered = await this.port.command(['PING'], { timeoutMs }).then(
        () => true,
        (error: unknown) => !(error instanceof DeadlineError),
      );
      if (isAnswered) break;
      if (silent + timeoutMs < SILENT_AT_MOST_MS) continue;
      this.answers = 'never-again';
      this.gaveUp(new Error('commands to Redis are not answered'));
    }
    if (this.answers !== 'late') return;
    this.answers = 'in-time';
    this.options.changed(undefined);
  }
}
