import { type Environment, StorageFault } from './environment.js';
import type { QueuedChange } from './write-queue.js';

const LARGE_BYTES = 64 * 1024 * 1024;
const FREE_SHARE = 0.5;

/** Whether most of a large file holds nothing. */
export const isWorthCompacting = (environment: Environment): boolean => {
  const bytes = environment.fileBytes();
  return bytes >= LARGE_BYTES && environment.freeBytes() > bytes * FREE_SHARE;
};

/** Compacts when its turn has come: what was queued before is in place, and what comes after waits. */
export class QueuedCompaction implements QueuedChange {
  readonly sizeBytes = 0;
  readonly isRemoval = false;
  readonly standsAlone = true;
  private compacted: Promise<void> | undefined;
  private lost: unknown;

  constructor(
    private readonly environment: Environment,
    readonly settle: (fault: StorageFault | undefined) => void,
  ) {}

  get ready(): Promise<void> {
    this.compacted ??= this.environment.compact().catch((fault: unknown) => {
      this.lost = fault;
    });
    return this.compacted;
  }

  apply(): boolean {
    if (this.lost === undefined) return false;
    throw this.lost instanceof StorageFault ? this.lost : new StorageFault('gone', 'compacting failed', this.lost);
  }
}
