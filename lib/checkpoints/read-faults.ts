import { StorageFault, type StorageFaultKind } from '../storage/environment.js';

/**
 * What the storage said about reads that missed because of a fault. A cache may take those for misses; here a version
 * that cannot be read must never pass for one that was never saved.
 */
export class ReadFaults {
  /** How many there have been. */
  count = 0;
  /** The first that speaks of a damaged file, which does not mend itself. */
  damage: StorageFault | undefined;
  private last: StorageFault | undefined;
  private listener: ((fault: StorageFault) => void) | undefined;

  /** For the reporter of the environment. */
  note(kind: StorageFaultKind, detail: string, error: unknown): void {
    const fault = new StorageFault(kind, detail, error);
    this.count += 1;
    this.last = fault;
    if (kind === 'damaged') this.damage ??= fault;
    this.listener?.(fault);
  }

  /** Tells of what was noted so far, and of all that follows. */
  listen(listener: (fault: StorageFault) => void): void {
    this.listener = listener;
    const first = this.damage ?? this.last;
    if (first !== undefined) listener(first);
  }

  /** Throws the last fault if there was one since the count was `before`. */
  throwSince(before: number): void {
    if (this.count !== before && this.last !== undefined) throw this.last;
  }
}
