/** Stable, machine-readable reasons. Texts may change; codes do not. */
export type LaneCacheErrorCode =
  | 'OPTIONS_INVALID'
  | 'LANE_UNKNOWN'
  | 'LANE_INVALID'
  | 'DECORATOR_INVALID'
  | 'KEY_INVALID'
  | 'KEY_TOO_LONG'
  | 'TAG_INVALID'
  | 'TOO_MANY_TAGS'
  | 'PATTERN_INVALID'
  | 'TTL_INVALID'
  | 'COMPUTE_INVALID'
  | 'COMPUTE_TIMEOUT'
  | 'REENTRANT'
  | 'INVALIDATION_NOT_DURABLE'
  | 'INVALIDATION_PENDING'
  | 'CHECKPOINT_INVALID'
  | 'CHECKPOINT_CONFLICT'
  | 'CHECKPOINT_DAMAGED'
  | 'CHECKPOINT_TOO_LARGE'
  | 'CHECKPOINT_UNSTORABLE'
  | 'CHECKPOINTS_UNAVAILABLE'
  | 'DIRECTORY_IN_USE'
  | 'DIRECTORY_UNSUITABLE'
  | 'FORMAT_UNSUPPORTED'
  | 'LMDB_UNAVAILABLE'
  | 'CLOSED';

/** What an error concerns. */
export interface LaneCacheErrorDetails {
  readonly lane?: string | undefined;
  readonly key?: string | undefined;
  /** The option at fault, as a path: `lanes.docs.ttl`. */
  readonly field?: string | undefined;
  readonly cause?: unknown;
}

const BRAND = Symbol.for('nestjs-lane-cache.error');

/** The base of every error that the library throws. Errors of the caller's own functions pass through unchanged. */
export class LaneCacheError extends Error {
  readonly code: LaneCacheErrorCode;
  readonly lane?: string;
  readonly key?: string;
  readonly field?: string;

  constructor(code: LaneCacheErrorCode, message: string, details: LaneCacheErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    if (details.lane !== undefined) this.lane = details.lane;
    if (details.key !== undefined) this.key = details.key;
    if (details.field !== undefined) this.field = details.field;
    Object.defineProperty(this, BRAND, { value: true });
  }
}

/** Whether `error` is from this library, in its ESM or CommonJS copy, and has `code` if one is given. */
export function isLaneCacheError(error: unknown, code?: LaneCacheErrorCode): error is LaneCacheError {
  if (typeof error !== 'object' || error === null || !(BRAND in error)) return false;
  return code === undefined || ('code' in error && error.code === code);
}
