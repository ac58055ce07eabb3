import { StorageFault } from './environment.js';
import { LaneCacheDirectory, type LaneCacheDirectoryOptions } from './lane-cache-directory.js';
import { acquireOwnership, type Owned } from './owner.js';

/**
 * The ownership of an app's directory, felt for before anything in it is opened or renamed: whoever removes the
 * directory removes the claim on it, and another process may have made both anew.
 */
export class Entitlement {
  private feeling: Promise<void> | undefined;

  /** `renewed` is called when the directory was made and claimed anew. */
  constructor(
    private owned: Owned,
    private readonly options: LaneCacheDirectoryOptions,
    private readonly renewed: () => Promise<void>,
  ) {}

  /** Rejects with `StorageFault` if the directory belongs to another process by now. */
  require(): Promise<void> {
    this.feeling ??= this.feel().finally(() => (this.feeling = undefined));
    return this.feeling;
  }

  release(): Promise<void> {
    return this.owned.release();
  }

  private async feel(): Promise<void> {
    const { owned, options } = this;
    if (await owned.stands()) return;
    const { root, liveness, clock } = options;
    const { claims } = await LaneCacheDirectory.prepare(options);
    const again = await acquireOwnership({ directory: claims, liveness, clock });
    if (again.state === 'in-use') {
      await again.whenFree(() => undefined)();
      throw new StorageFault('gone', `'${root}' was removed, and process ${again.ownerPid} has it now`);
    }
    this.owned = again;
    await owned.release().catch(() => undefined);
    await this.renewed();
  }
}
