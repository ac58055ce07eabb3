import type { Clock } from '../../clock/clock.js';
import type { Environment } from '../../storage/environment.js';
import { WriteBatch } from './checkpoint-tables.js';

const MAX_BATCH_WRITES = 128;
const MAX_BATCH_BYTES = 16 * 1024 * 1024;
/** What is not prepared by then waits for the next commit, so that a rush of writes leaves room for other work. */
const PREPARING_MS = 4;

interface Write {
  readonly bytes: number;
  prepare(batch: WriteBatch): void;
  settle(fault: unknown): void;
}

/** Called after each commit. `fault` is undefined when it succeeded. `bytes` is the announced size of its writes. */
type CommitListener = (fault: unknown, bytes: number) => void;

/**
 * Writes one after the other, each seeing what those before it wrote; what waits while a commit runs shares the next
 * one, so that durability costs one disk sync per group and not per write.
 */
export class GroupCommit {
  private waiting: Write[] = [];
  private running: Promise<void> | undefined;
  /** A commit that was given up may still succeed. Nothing is read for writing before that is settled. */
  private uncertain = false;

  constructor(
    private readonly environment: Environment,
    private readonly clock: Clock,
    private readonly settleFate: () => Promise<void>,
    private readonly onCommit: CommitListener,
  ) {}

  /** `prepare` reads and changes the batch synchronously; if it throws, all of its group fail. Resolves with its result once durable. */
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

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.running !== undefined) await this.running;
  }

  private async drain(): Promise<void> {
    // a microtask later, so that calls of the same turn share the first commit
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

  /** Takes out of `group` what must wait for the next one. */
  private async commit(group: Write[]): Promise<void> {
    if (this.uncertain) await this.settleFate();
    this.uncertain = false;
    const batch = new WriteBatch();
    this.prepare(group, batch);
    if (batch.isEmpty) return;
    this.uncertain = true;
    await this.environment.commit((transaction) => batch.writeTo(transaction));
    this.uncertain = false;
  }

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

/** With its commit it then takes less than two. */
const SLICE_MS = 1;

/** A piece of synchronous work, so short that other work need not wait for it. */
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
