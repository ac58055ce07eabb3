import { type Clock, DeadlineError, withDeadline, type KeepAlive } from '../../clock/clock.js';
import { numberOf, type RedisArgument, type RedisPort } from './redis-client.js';

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
/** How often a connection carries something, whatever the app does: servers close idle ones, and firewalls forget them. */
const KEPT_OPEN_EVERY_MS = 10_000;
/** A transfer that goes at this rate, 64 Mbit/s, does not count as a server that does not answer. */
const LEAST_BYTES_PER_MS = 8_192;

/** The bytes of entries, as the server has them. It is asked over another connection than the one that receives them. */
export async function lengthOf(port: Pick<RedisPort, 'command'>, names: readonly string[]): Promise<number> {
  const lengths = names.map((name) => port.command(['STRLEN', name], { timeoutMs: PROBED_WITHIN_MS }));
  return (await Promise.all(lengths)).map(numberOf).reduce((sum, length) => sum + length, 0);
}

/** A connection for commands that notices when they are not answered in time, and when they are again. */
export class WatchedPort {
  /** `behind`: they wait behind what this process sends. `late`: the server lets them wait. */
  private answers: 'in-time' | 'behind' | 'late' | 'never-again' = 'in-time';
  /** How many commands the server has answered. */
  private answered = 0;
  private inQueue = 0;
  /** When all that is in the queue should have been sent (monotonic). */
  private sentBy = -Infinity;
  /** When the entries that were asked for should have been received (monotonic). */
  private receivedBy = -Infinity;
  private endKeepingOpen: () => void = () => undefined;

  constructor(
    private readonly port: RedisPort,
    private readonly clock: Clock,
    private readonly options: WatchedPortOptions,
    /** Called once, when the server has been silent for too long. */
    private readonly gaveUp: (error: Error) => void,
  ) {
    this.keepOpen();
  }

  /** false from a command that was not answered in time until one is. */
  get isSound(): boolean {
    return this.answers === 'in-time' && this.port.connected;
  }

  /** What is in the queue, or was asked for, is so much that it may be on its way still. */
  get isTransferring(): boolean {
    const now = this.clock.monotonic();
    return (this.inQueue > 0 && now < this.sentBy) || now < this.receivedBy;
  }

  async command(args: readonly RedisArgument[]): Promise<unknown> {
    return this.watch(this.port.command(args, { timeoutMs: this.options.timeoutMs }));
  }

  /** Reads entries. An answer that is late only because they are large does not count as a failure of the server. */
  async read(args: readonly RedisArgument[], measure: (() => Promise<number>) | undefined): Promise<unknown> {
    return this.watch(this.port.command(args, { timeoutMs: this.options.timeoutMs }), measure);
  }

  /** Waits for the answer, and notes if it does not come in time. */
  async watch<T>(answer: Promise<T>, measure?: () => Promise<number>): Promise<T> {
    const { hold, timeoutMs } = this.options;
    try {
      const given = await hold.during(answer);
      this.answered++;
      return given;
    } catch (error) {
      if (error instanceof DeadlineError) {
        const measured = measure && this.answers !== 'late' ? this.expect(measure) : undefined;
        if (this.answers === 'in-time') void this.fallBehind(error, timeoutMs, measured);
      }
      throw error;
    }
  }

  /** As `watch`, with a deadline that begins anew as long as the server answers any command, or `bytes` are being sent. */
  async watchInQueue<T>(sent: Promise<T>, bytes: number): Promise<T> {
    this.inQueue++;
    this.sentBy = Math.max(this.sentBy, this.clock.monotonic()) + bytes / LEAST_BYTES_PER_MS;
    try {
      return await this.watch(this.whileAnswering(sent));
    } finally {
      if (--this.inQueue === 0) this.sentBy = -Infinity;
    }
  }

  async close(): Promise<void> {
    this.answers = 'never-again';
    this.endKeepingOpen();
    await this.port.close();
  }

  /** The answer does not matter. */
  private keepOpen(): void {
    this.endKeepingOpen = this.clock.schedule(KEPT_OPEN_EVERY_MS, () => {
      if (this.isSound) this.port.command(['PING'], { timeoutMs: this.options.timeoutMs }).catch(() => undefined);
      this.keepOpen();
    });
  }

  private async whileAnswering<T>(sent: Promise<T>): Promise<T> {
    for (;;) {
      const before = this.answered;
      try {
        return await withDeadline(this.clock, sent, this.options.timeoutMs, 'Redis');
      } catch (error) {
        const isSilent = this.answered === before && !this.isTransferring;
        const isOver = isSilent || this.answers === 'never-again';
        if (!(error instanceof DeadlineError) || isOver) throw error;
      }
    }
  }

  private async fallBehind(error: DeadlineError, silentMs: number, measured: Promise<void> | undefined): Promise<void> {
    this.answers = 'behind';
    if (measured !== undefined) await measured;
    if (this.answers === 'behind' && !this.isTransferring) this.becomeLate(error);
    await this.probe(silentMs);
  }

  private async expect(measure: () => Promise<number>): Promise<void> {
    const bytes = await measure().catch(() => 0);
    this.receivedBy = Math.max(this.receivedBy, this.clock.monotonic()) + Math.floor(bytes / LEAST_BYTES_PER_MS);
  }

  /** Asks until commands are answered again, which an error is too. A server that is silent for too long is given up. */
  private async probe(silentMs: number): Promise<void> {
    const timeoutMs = Math.min(this.options.timeoutMs, PROBED_WITHIN_MS);
    let silent = silentMs;
    do {
      const late = await this.port.command(['PING'], { timeoutMs }).then(
        () => undefined,
        (error: unknown) => (error instanceof DeadlineError ? error : undefined),
      );
      if (this.answers === 'never-again') return;
      if (late === undefined) return this.becomeInTime();
      if (this.isTransferring) continue;
      if (this.answers === 'behind') this.becomeLate(late);
      silent += timeoutMs;
    } while (silent < SILENT_AT_MOST_MS || this.isTransferring);
    this.answers = 'never-again';
    this.gaveUp(new Error('commands to Redis are not answered'));
  }

  private becomeLate(error: DeadlineError): void {
    this.answers = 'late';
    this.options.changed(error);
  }

  private becomeInTime(): void {
    const wasLate = this.answers === 'late';
    this.answers = 'in-time';
    this.receivedBy = -Infinity;
    if (wasLate) this.options.changed(undefined);
  }
}
