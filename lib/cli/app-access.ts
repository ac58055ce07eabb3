import type { AppRecord } from '../ipc/app-record.js';
import type { Operations } from '../operations/operations.js';

/** The operations of an app: the app itself performs them, or, while none runs, this process on the app's directory. */
export interface AppAccess {
  readonly directory: string;
  /** live: the app answers. stored: no app runs, and this process owns the directory until `close`. */
  readonly kind: 'live' | 'stored';
  readonly operations: Operations;
  /** What the last app recorded about itself. */
  readonly record: AppRecord | undefined;
  close(): Promise<void>;
}
