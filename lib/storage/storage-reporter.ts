import type { StorageFaultKind } from './environment.js';

/** How this room says what happened; the rooms above turn it into events. Callbacks must not throw. */
export interface StorageReporter {
  /** A read missed because of a fault. Failing commits are not reported here: they reject. */
  fault(kind: StorageFaultKind, detail: string, error: unknown): void;
  /** A directory that could not be trusted was renamed away, and a fresh one stands in its place. */
  quarantined(directory: string, movedTo: string, cause: string): void;
}
