import { LaneCacheError } from './lane-cache.error.js';

/**
 * `expectedVersion` was not the checkpoint's current version: another save came first.
 *
 * @example
 * ```ts
 * try {
 *   await checkpoints.cacheCheckpoint('import:42', { row: 2 }, { expectedVersion: 1 });
 * } catch (error) {
 *   if (error instanceof CheckpointConflictError) console.log(error.currentVersion);
 * }
 * ```
 */
export class CheckpointConflictError extends LaneCacheError {
  declare readonly code: 'CHECKPOINT_CONFLICT';
  readonly id: string;
  readonly expectedVersion: number;
  readonly currentVersion: number;

  /** `problem`: what is said instead of the versions. */
  constructor(id: string, expectedVersion: number, currentVersion: number, problem?: string) {
    super(
      'CHECKPOINT_CONFLICT',
      problem ??
        `Checkpoint '${id}' is at version ${currentVersion}, not at the expected ${expectedVersion}. Restore it again, apply the change, and save with the new version.`,
    );
    this.id = id;
    this.expectedVersion = expectedVersion;
    this.currentVersion = currentVersion;
  }
}

/** The workflow of a step was invalidated while the step ran. */
export const workflowInvalidated = (id: string, workflow: string, currentVersion: number): CheckpointConflictError =>
  new CheckpointConflictError(
    id,
    0,
    currentVersion,
    `'${id}' belongs to a run of workflow '${workflow}' that began before the workflow was invalidated, so nothing is saved under it. Start the workflow again.`,
  );

/** The step in which the save was called has ended, or has lost its lease. */
export const stepIsOver = (
  id: string,
  step: string,
  how: 'ended' | 'lost',
  currentVersion: number,
): CheckpointConflictError =>
  new CheckpointConflictError(
    id,
    0,
    currentVersion,
    how === 'ended'
      ? `'${id}' was saved by the function of the step '${step}' after it had ended, so nothing is saved. Await in a step what it saves.`
      : `'${id}' was saved by the exclusive step '${step}' after it had lost its lease, so nothing is saved. The step may run in another process by now.`,
  );

/**
 * The version to restore does not match its checksum; it was set aside.
 *
 * @example
 * ```ts
 * try {
 *   await checkpoints.restoreCheckpoint('import:42');
 * } catch (error) {
 *   if (error instanceof CheckpointDamagedError) console.log(error.soundVersions);
 * }
 * ```
 */
export class CheckpointDamagedError extends LaneCacheError {
  declare readonly code: 'CHECKPOINT_DAMAGED';
  readonly id: string;
  readonly version: number;
  readonly soundVersions: readonly number[];

  constructor(id: string, version: number, soundVersions: readonly number[]) {
    super(
      'CHECKPOINT_DAMAGED',
      `Version ${version} of checkpoint '${id}' is damaged. ${
        soundVersions.length > 0
          ? `Intact versions: ${soundVersions.join(', ')}. Pass { fallback: true } to restore the newest one before it.`
          : 'No intact version is left.'
      }`,
    );
    this.id = id;
    this.version = version;
    this.soundVersions = soundVersions;
  }
}

/**
 * The state is larger than `checkpoints.maxStateBytes`; nothing was saved.
 *
 * @example
 * ```ts
 * try {
 *   await checkpoints.cacheCheckpoint('import:42', Buffer.alloc(1e9));
 * } catch (error) {
 *   if (error instanceof CheckpointTooLargeError) console.log(error.sizeBytes, error.limitBytes);
 * }
 * ```
 */
export class CheckpointTooLargeError extends LaneCacheError {
  declare readonly code: 'CHECKPOINT_TOO_LARGE';
  readonly sizeBytes: number;
  readonly limitBytes: number;

  constructor(id: string, sizeBytes: number, limitBytes: number) {
    super(
      'CHECKPOINT_TOO_LARGE',
      `The state of checkpoint '${id}' takes ${sizeBytes} bytes, more than the limit of ${limitBytes}. Store less, or raise checkpoints.maxStateBytes.`,
    );
    this.sizeBytes = sizeBytes;
    this.limitBytes = limitBytes;
  }
}
