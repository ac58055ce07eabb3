import type { AppRecord } from '../ipc/app-record.js';
import type { Operations } from '../ipc/operations.js';

/** An app's operations, done by the app itself or, while none runs, on what it left. */
export interface AppAccess {
  readonly directory: string;
  /** live: the app answers. stored: no app runs, and this process owns the directory for a moment. */
  readonly kind: 'live' | 'stored';
  readonly operations: Operations;
  /** What the last app left word of. */
  readonly record: AppRecord | undefined;
  close(): Promise<void>;
}
