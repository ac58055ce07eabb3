import type { Environment, StorageReporter } from '../storage/environment.js';

/** Where a disk tier gets its folder from, and what becomes of one that must not be read again. */
export interface EnvironmentSource {
  /** Opens the folder, setting aside what cannot be trusted. `report` hears of reads that failed. */
  open(report: StorageReporter): Promise<Environment>;
  /** Resolves when nothing that the folder holds can ever be opened again. The environment is closed before. */
  discard(): Promise<void>;
}
