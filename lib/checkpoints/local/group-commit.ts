import type { Clock } from '../../clock/clock.js';
import type { Environment } from '../../storage/environment.js';
import { WriteBatch } from './checkpoint-tables.js';

const MAX_BATCH_WRITES = 128;
const MAX_BATCH_BYTES = 16 * 1024 * 1024;
/** Writes that are not prepared by then wait for the next commit, so that many writes do not block the event loop. */
const PREPARING_MS = 4;

interface Write {
  readonly bytes: number;
  prepare(batch: WriteBatch): void;
  settle(fault: unknown): void;
}

/** Called after each commit. `fault` is undefined when it succeeded. `bytes` is the announced size of its writes. */
type CommitListener = (fault: unknown, bytes: number) => void;

/**
 * Prepares writes one after the other; each sees the changes of those before it. The writes that wait while a commit
 * runs share the next one, so that durability costs one disk sync per group and not per write.
 */
export class GroupCommit {
  private waiting: Write[] = [];
  private running: Promise<void> | undefined;
  /** A commit that was abandoned may still succeed. No write is prepared before its outcome is known. */
  private isUncertain = false;

  constructor(
    private readonly environment: Environment,
    private readonly clock: Clock,
    private readonly awaitOutcome: () => Promise<void>,
    private readonly onCommit: CommitListener,
  ) {}

  /** Resolves with what `prepare` returned once its changes are durable. If it throws, its whole group fails. */
  run<T>(bytes: number, prepare: (batch: WriteBatch) => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let result: () => void;
      this.waiting.push({
        bytes,
        prepare: (batch) => {
          const value = prepare(batch);
          result = () => resolve(value);
        },
        settle: (fault) => (fault === undefined ? result() : reject(fault)),
      });
      this.running ??= this.drain();
    });
  }

  /** Resolves when no write is waiting. */
  async idle(): Promise<void> {
    while (this.running !== undefined) await this.running;
  }

  private async drain(): Promise<void> {
    // The calls of the same turn share the first commit.
    await Promise.resolve();
    while (this.waiting.length > 0) {
      const group = this.nextGroup();
      const fault = await this.commit(group).then(
        () => undefined,
        (error: unknown) => error ?? new Error('the commit failed'),
      );
      this.onCommit(
        fault,
        group.reduce((sum, { bytes }) => sum + bytes, 0),
      );
      for (const write of group) write.settle(fault);
    }
    this.running = undefined;
  }

  private nextGroup(): Write[] {
    let bytes = 0;
    let count = 0;
    for (const write of this.waiting) {
      if (count === MAX_BATCH_WRITES || (count > 0 && bytes + write.bytes > MAX_BATCH_BYTES)) break;
      bytes += write.bytes;
      count += 1;
    }
    return this.waiting.splice(0, count);
  }

  private async commit(group: Write[]): Promise<void> {
    if (this.isUncertain) await this.awaitOutcome();
    this.isUncertain = false;
    const batch = new WriteBatch();
    this.prepare(group, batch);
    if (batch.isEmpty) return;
    this.isUncertain = true;
    await this.environment.commit((transaction) => batch.writeTo(transaction));
    this.isUncertain = false;
  }

  /** Moves the writes that must wait for the next commit from `group` back to `waiting`. */
  private prepare(group: Write[], batch: WriteBatch): void {
    const work = new WorkSlice(this.clock, PREPARING_MS);
    for (const [index, write] of group.entries()) {
      if (index > 0 && work.isSpent) {
        this.waiting.unshift(...group.splice(index));
        return;
      }
      write.prepare(batch);
    }
  }
}

/** Together with the commit the work then takes less than 2 ms. */
const SLICE_MS = 1;

/** Limits a piece of synchronous work, so that it does not block the event loop. */
export class WorkSlice {
  private readonly endsAt: number;

  constructor(
    private readonly clock: Clock,
    ms = SLICE_MS,
  ) {
    this.endsAt = clock.monotonic() + ms;
  }

  get isSpent(): boolean {
    return this.clock.monotonic() >= this.endsAt;
  }
}
