import { nextTurn } from '../../clock/clock.js';
import type { NativeRoot } from './lmdb-table.js';

/** Puts all of a transaction's changes, and returns lmdb's promise for them. */
export type Write = () => Promise<unknown>;

/** A write that was handed in. */
export interface Submission {
  /** Settles when LMDB has committed, or has not; rejects with LMDB's own cause. */
  readonly outcome: Promise<void>;
  /** Takes the write back, which rejects it with `reason`. False if LMDB has it already. */
  withdraw(reason: Error): boolean;
}

interface Waiting {
  readonly bytes: number;
  readonly start: () => void;
  readonly reject: (reason: unknown) => void;
}

/** Room for the next write, see `PreallocatedSpace`. */
export interface Room {
  has(bytes: number): boolean;
  make(bytes: number): Promise<void>;
  spend(bytes: number): void;
}

const ignore = (): void => undefined;

/**
 * The cause of a rejection of lmdb-js. It rejects with an error that carries a promise, which rejects with the cause. That
 * promise must be handled, and is awaited for one turn only, because it does not always settle.
 */
const causeOf = async (rejection: unknown): Promise<unknown> => {
  if (!(rejection instanceof Error) || !('commitError' in rejection)) return rejection;
  const cause = Promise.resolve(rejection.commitError).then(
    () => rejection,
    (reason: unknown) => reason,
  );
  return Promise.race([cause, nextTurn().then(() => rejection)]);
};

/**
 * Hands writes to LMDB one batch at a time. The writes of one turn of the event loop become one LMDB transaction, which
 * fails as a whole. Writes that come while it is written wait, and become the next one. lmdb-js would accept them at once,
 * but does not always reject the right ones when batches fail.
 */
export class GroupCommit {
  private state: 'idle' | 'making-room' | 'collecting' | 'writing' = 'idle';
  private waiting: Waiting[] = [];
  /** The most that the batch being collected may write. */
  private collected = 0;

  constructor(
    private readonly root: NativeRoot,
    private readonly room: Room,
  ) {
    root.on('beforecommit', () => this.close());
  }

  /** `bytes`: the most that LMDB may write for it. */
  submit(write: Write, bytes: number): Submission {
    let entry: Waiting | undefined;
    const outcome = new Promise<void>((resolve, reject) => {
      const start = (): void => void this.write(write).then(resolve, reject);
      this.waiting.push((entry = { bytes, start, reject }));
    });
    if (this.state === 'idle' || this.state === 'collecting') this.startWaiting();
    return { outcome, withdraw: (reason) => entry !== undefined && this.withdraw(entry, reason) };
  }

  private withdraw(entry: Waiting, reason: Error): boolean {
    if (!this.waiting.includes(entry)) return false;
    this.waiting = this.waiting.filter((other) => other !== entry);
    entry.reject(reason);
    return true;
  }

  private startWaiting(): void {
    const wanted = this.waiting.reduce((sum, { bytes }) => sum + bytes, this.collected);
    if (!this.hasRoom(wanted)) {
      // Writes that do not fit beside the running batch become the next one.
      if (this.state === 'idle') void this.makeRoom(wanted);
      return;
    }
    this.collected = wanted;
    for (const { start } of this.waiting.splice(0)) start();
  }

  private hasRoom(bytes: number): boolean {
    try {
      return this.room.has(bytes);
    } catch {
      return false;
    }
  }

  private async makeRoom(bytes: number): Promise<void> {
    this.state = 'making-room';
    try {
      await this.room.make(bytes);
    } catch (error) {
      this.refuseWhatDoesNotFit(error);
    }
    this.next();
  }

  /** Small writes are not refused because of large ones beside them. */
  private refuseWhatDoesNotFit(reason: unknown): void {
    let wanted = 0;
    this.waiting = this.waiting.filter(({ bytes, reject }) => {
      const fits = this.hasRoom(wanted + bytes);
      if (fits) wanted += bytes;
      else reject(reason);
      return fits;
    });
  }

  private async write(write: Write): Promise<void> {
    const opensBatch = this.state === 'idle';
    this.state = 'collecting';
    try {
      await write();
    } catch (rejection) {
      throw await causeOf(rejection);
    } finally {
      if (opensBatch) this.next();
    }
  }

  /** Hands the batch to LMDB. */
  private close(): void {
    this.state = 'writing';
    // lmdb-js opens each batch with an operation whose own promise is not returned. If the batch fails, it would end the
    // process as an unhandled rejection. It exists, and is the one behind `committed`, right after this callback.
    queueMicrotask(() => void this.root.committed.then(ignore, ignore));
  }

  private next(): void {
    this.state = 'idle';
    this.room.spend(this.collected);
    this.collected = 0;
    if (this.waiting.length > 0) this.startWaiting();
  }
}
