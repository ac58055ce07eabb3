import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../lib/clock/clock.js';
import type { Environment, StorageReporter } from '../../lib/storage/environment.js';
import { openEnvironment, type OpenEnvironmentOptions } from '../../lib/storage/lmdb/open-environment.js';

/** What a directory reported. */
export class RecordingReporter implements StorageReporter {
  readonly faults: { readonly kind: string; readonly detail: string }[] = [];
  readonly quarantines: { readonly directory: string; readonly movedTo: string; readonly cause: string }[] = [];

  fault(kind: string, detail: string): void {
    this.faults.push({ kind, detail });
  }

  quarantined(directory: string, movedTo: string, cause: string): void {
    this.quarantines.push({ directory, movedTo, cause });
  }
}

/** Temporary directories and what is open in them; `dispose` puts everything away. */
export class StorageBench {
  private readonly roots: string[] = [];
  private readonly open: Environment[] = [];

  /** A path that does not exist yet, in a new temporary directory. */
  async path(name = 'env'): Promise<string> {
    const root = await mkdtemp(join(tmpdir(), 'lane-cache-'));
    this.roots.push(root);
    return join(root, name);
  }

  async environment(
    directory: string,
    options: Partial<OpenEnvironmentOptions> = {},
  ): Promise<{ readonly environment: Environment; readonly report: RecordingReporter }> {
    const report = new RecordingReporter();
    const environment = await openEnvironment({
      directory,
      durability: 'session',
      clock: systemClock,
      minFreeBytes: 0,
      report,
      onMarkerLeft: 'quarantine',
      ...options,
    });
    this.open.push(environment);
    return { environment, report };
  }

  async dispose(): Promise<void> {
    await Promise.all(this.open.splice(0).map((environment) => environment.close()));
    await Promise.all(this.roots.splice(0).map((root) => rm(root, { recursive: true, force: true, maxRetries: 5 })));
  }
}
