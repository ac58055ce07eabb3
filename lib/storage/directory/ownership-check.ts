import { StorageFault } from '../environment.js';
import { LaneCacheDirectory, type LaneCacheDirectoryOptions } from './cache-directory.js';
import { acquireOwnership, type Owned } from './owner-lock.js';

export interface OwnershipCheckOptions extends LaneCacheDirectoryOptions {
  /** Called when the directory was made and claimed anew. */
  readonly renewed: () => Promise<void>;
  /** Called once for as long as another process has the directory. */
  readonly refused: (ownerPid: number) => void;
}

/**
 * The ownership of an app's directory, felt for before anything in it is opened or renamed: whoever removes the
 * directory removes the claim on it, and another process may have made both anew.
 */
export class OwnershipCheck {
  private verifying: Promise<void> | undefined;
  private isRefused = false;

  constructor(
    private owned: Owned,
    private readonly options: OwnershipCheckOptions,
  ) {}

  /** Rejects with `StorageFault` if the directory belongs to another process by now. */
  require(): Promise<void> {
    this.verifying ??= this.verify().finally(() => (this.verifying = undefined));
    return this.verifying;
  }

  release(): Promise<void> {
    return this.owned.release();
  }

  private async verify(): Promise<void> {
    const { owned, options } = this;
    if (await owned.isHeld()) return;
    const { root, liveness, clock } = options;
    const { claims } = await LaneCacheDirectory.prepare(options);
    const again = await acquireOwnership({ directory: claims, liveness, clock });
    if (again.state === 'in-use') {
      await again.whenFree(() => undefined)();
      if (!this.isRefused) options.refused(again.ownerPid);
      this.isRefused = true;
      throw new StorageFault('gone', `'${root}' was removed, and process ${again.ownerPid} has it now`);
    }
    this.owned = again;
    this.isRefused = false;
    await owned.release().catch(() => undefined);
    await options.renewed();
  }
}
