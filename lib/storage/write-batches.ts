import { nextTurn } from '../clock/turn.js';
import type { NativeRoot } from './native-lmdb.js';

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
  readonly start: () => void;
  readonly reject: (reason: Error) => void;
}

const ignore = (): void => undefined;

/**
 * lmdb-js rejects with a stand-in; the cause follows as the rejection of a promise that it carries. That one must be
 * handled, but is not waited for beyond a turn, because it does not always come.
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
 * Hands writes to LMDB one batch at a time. What is put in one turn of the event loop becomes one LMDB transaction,
 * which fails as a whole; what comes while it is being written waits, and becomes the next one. lmdb-js would take it at
 * once, but then, when batches fail, cannot be relied on to reject the right ones.
 */
export class WriteBatches {
  private state: 'idle' | 'collecting' | 'writing' = 'idle';
  private waiting: Waiting[] = [];

  constructor(private readonly root: NativeRoot) {
    root.on('beforecommit', () => this.close());
  }

  submit(write: Write): Submission {
    let entry: Waiting | undefined;
    const outcome = new Promise<void>((resolve, reject) => {
      const start = (): void => void this.write(write).then(resolve, reject);
      if (this.state === 'writing') this.waiting.push((entry = { start, reject }));
      else start();
    });
    return { outcome, withdraw: (reason) => entry !== undefined && this.withdraw(entry, reason) };
  }

  private withdraw(entry: Waiting, reason: Error): boolean {
    if (!this.waiting.includes(entry)) return false;
    this.waiting = this.waiting.filter((other) => other !== entry);
    entry.reject(reason);
    return true;
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

  /** LMDB takes the batch now. */
  private close(): void {
    this.state = 'writing';
    // lmdb-js opens each batch with an operation whose own promise nobody holds; if the batch fails it would end the
    // process as an unhandled rejection. It exists, and is the one behind `committed`, right after this callback.
    queueMicrotask(() => void this.root.committed.then(ignore, ignore));
  }

  private next(): void {
    this.state = 'idle';
    for (const { start } of this.waiting.splice(0)) start();
  }
}
