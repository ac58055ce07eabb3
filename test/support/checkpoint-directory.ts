import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../lib/clock/clock.js';
import type { Environment } from '../../lib/storage/environment.js';
import { openEnvironment } from '../../lib/storage/open-environment.js';

/** The environment of checkpoints in `directory`, as an app opens it. Damage that storage reports fails the test. */
export const openCheckpoints = (directory: string): Promise<Environment> =>
  openEnvironment({
    directory,
    durability: 'durable',
    clock: systemClock,
    minFreeBytes: 0,
    onMarkerLeft: 'probe',
    report: {
      fault: (kind, detail, error) => {
        throw new Error(`${kind}: ${detail}`, { cause: error });
      },
      quarantined: (_, movedTo, cause) => {
        throw new Error(`moved to ${movedTo}: ${cause}`);
      },
    },
  });

export const temporaryDirectory = (): Promise<string> => mkdtemp(join(tmpdir(), 'lane-cache-checkpoints-'));

export const removeDirectory = (directory: string): Promise<void> => rm(directory, { recursive: true, force: true });
