import type { SharedRecord } from '../invalidation/shared-log.js';

/** An entry that goes with the record that supersedes it: an explicit set. */
export interface UtteredEntry {
  readonly lifeMs: number;
  readonly tags: readonly string[];
  readonly record: Uint8Array;
  /** Sequence numbers up to which this instance knew of everything about the key, and of every pattern. */
  readonly known: { readonly sequence: number; readonly patterns: number };
}

/** A record on its way to the server. It is said at least once; saying it again does no harm. */
export class Utterance {
  /** Settles, never as a rejection, when the server has it and it has come round: whether an entry of the subject went. */
  readonly said: Promise<boolean>;
  /**
   * Goes along at the first attempt only: later, another instance may have set the key anew, and this value would come
   * behind it.
   */
  entry: UtteredEntry | undefined;
  /** Kept in the persistent tier, to be said by a later process if this one ends. */
  isKept = false;
  isUnderWay = false;
  /** To be called when `said` is true of it. */
  readonly settle: (held: boolean) => void;

  constructor(
    readonly id: string,
    /** Whose record it is: whoever follows a record of its own has done it already. */
    readonly by: string,
    readonly record: SharedRecord,
    /** Position in this process's log. */
    readonly position: number,
  ) {
    const { promise, resolve } = deferred();
    this.said = promise;
    this.settle = resolve;
  }
}

function deferred(): { readonly promise: Promise<boolean>; readonly resolve: (held: boolean) => void } {
  const parts: { resolve?: (held: boolean) => void } = {};
  const promise = new Promise<boolean>((resolve) => (parts.resolve = resolve));
  return { promise, resolve: (held) => parts.resolve?.(held) };
}
