import type { IsoTime } from '../events/event-map.js';
import type { TierOffReason } from '../events/reasons.js';
import type { LaneName } from '../lanes/policy.js';
import type { Duration } from '../lanes/units.js';
import type { RemovalReason } from './retention.js';

/** Options of a save. */
export interface SaveCheckpointOptions {
  /** The label under which the version is listed, counted and kept. Default: the app's lane. */
  readonly lane?: LaneName;
  /** The workflow that the version belongs to. */
  readonly workflow?: string;
  /** The step of the workflow. */
  readonly step?: number | string;
  /** At most 64 KB once encoded. At most 32 names of its top level may hold texts, numbers or booleans: they are indexed. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** The newest version must have this number; 0 = there must be none. Else rejects with `CheckpointConflictError`. */
  readonly expectedVersion?: number;
  /** When it ends the version is no longer restored, and the next cleanup removes it unless it is pinned. Default none. */
  readonly ttl?: Duration;
}

/** One version of a saved state, without the state. */
export interface CheckpointInfo {
  readonly id: string;
  /** 1, 2, … per id. Never used twice, not even after removal. */
  readonly version: number;
  readonly lane: string;
  /** The workflow that it belongs to. */
  readonly workflow?: string;
  /** The step of the workflow. */
  readonly step?: number | string;
  /** What it was saved with. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly savedAt: IsoTime;
  /** From then on it is not restored. */
  readonly expiresAt?: IsoTime;
  /** Bytes of the encoded state. */
  readonly sizeBytes: number;
  /** SHA-256 of the encoded state, hexadecimal. */
  readonly checksum: string;
  readonly pinned: boolean;
  /** The version from which the id was forked. */
  readonly parent?: { readonly id: string; readonly version: number };
  /** The process that saved it: host and process id. */
  readonly savedBy?: string;
  /** How long the step that gave it took, in milliseconds. Only for steps that the library ran. */
  readonly durationMs?: number;
  /** Bytes of the state as it is stored, if its lane compresses it. */
  readonly storedBytes?: number;
}

/** One version with its state. */
export interface Checkpoint<T = unknown> extends CheckpointInfo {
  readonly state: T;
}

/** Which version to restore. */
export interface RestoreCheckpointOptions {
  /** Default: the newest that has not expired. */
  readonly version?: number;
  /** An older one counts as absent. */
  readonly maxAge?: Duration;
  /** If the version is damaged, return the newest intact one before it. Default false. */
  readonly fallback?: boolean;
}

/** How a new id is forked from another. */
export interface ForkCheckpointOptions {
  /** The version whose state the new id begins with. Default: the newest that has not expired. */
  readonly version?: number;
  /** The workflow of the new id. Default: none. */
  readonly workflow?: string;
  /** Default: the lane of the other id. */
  readonly lane?: string;
}

/** The labels of a step, and who runs it. */
export interface StepOptions extends Pick<SaveCheckpointOptions, 'lane' | 'workflow' | 'step' | 'ttl'> {
  /** An older checkpoint counts as absent. */
  readonly maxAge?: Duration;
  /** One process at a time runs the step, and the others wait for its result. Default false. */
  readonly exclusive?: boolean;
  /** When checkpoints cannot be used: 'throw' before the step runs, or 'run' it unsaved. Default 'throw'. */
  readonly onUnavailable?: 'throw' | 'run';
}

/** Which versions to list. */
export interface CheckpointFilter {
  /** Only those of this workflow. */
  readonly workflow?: string;
  /** Only those of this lane. */
  readonly lane?: string;
  /** Saved at or after. */
  readonly since?: Date | IsoTime;
  /** Saved at or before. */
  readonly until?: Date | IsoTime;
  /**
   * Names and values that the metadata must hold: texts, numbers and booleans at its top level. At most 32 names. The
   * listing follows an index.
   */
  readonly metadata?: Readonly<Record<string, string | number | boolean>>;
  /** `next` of the page before. */
  readonly after?: string;
  /** 1 to 1,000. Default 100. */
  readonly limit?: number;
}

/** Newest first. */
export interface CheckpointPage {
  readonly items: readonly CheckpointInfo[];
  /** Pass as `after`. Absent on the last page. */
  readonly next?: string;
}

/** What a cleanup may remove. */
export interface CleanupOptions {
  /** Versions older than this are removed; one of exactly this age stays. false = none is too old. Default: as set, or 7. */
  readonly maxAgeDays?: number | false;
  /** How many of the newest versions of each id stay, however old. Default: as set, or 0. */
  readonly keepLast?: number;
  /** Whether the newest version of each id stays until its workflow is finished. Default: as set, or false. */
  readonly keepUnfinished?: boolean;
  /** Only those of this lane. */
  readonly lane?: string;
  /** Only those of this workflow. */
  readonly workflow?: string;
  /** Report what would be removed, and remove nothing. Default false. */
  readonly dryRun?: boolean;
}

/** What a cleanup removed, or would remove. */
export interface CleanupReport {
  readonly removed: number;
  readonly bytes: number;
  /** Due, but pinned. */
  readonly pinnedKept: number;
  readonly dryRun: boolean;
  /** Dry run only; at most 1,000. */
  readonly checkpoints?: readonly DueCheckpoint[];
}

/** A version that a cleanup would remove, and why. */
export interface DueCheckpoint extends CheckpointInfo {
  readonly reason: RemovalReason;
}

/** A lane's checkpoints in numbers. */
export interface CheckpointCounts {
  /** Ids of which a version can be restored. */
  readonly cachedCheckpoints: number;
  /** All versions. */
  readonly versions: number;
  readonly bytes: number;
  readonly oldest?: IsoTime;
  readonly newest?: IsoTime;
}

/** All checkpoints in numbers. An id with versions in two lanes counts once in total and once in each lane. */
export interface CheckpointStatus extends CheckpointCounts {
  readonly state: 'on' | 'off';
  /** Why checkpoints are off. */
  readonly reason?: TierOffReason;
  readonly lanes: Readonly<Record<string, CheckpointCounts>>;
}
