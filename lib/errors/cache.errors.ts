import { LaneCacheError, type LaneCacheErrorDetails } from './lane-cache.error.js';

/** The app does not define the lane. */
export class UnknownLaneError extends LaneCacheError {
  declare readonly code: 'LANE_UNKNOWN';
  readonly known: readonly string[];

  /** `askedBy` names what refers to the lane, such as a decorator, if it is not the caller. */
  constructor(lane: string, known: readonly string[], askedBy?: string, field?: string) {
    super(
      'LANE_UNKNOWN',
      `${askedBy === undefined ? 'There' : `${askedBy}: there`} is no lane '${lane}'. Known lanes: ${known.join(', ')}. Define it under 'lanes' in the options, or use one of these.`,
      { lane, field },
    );
    this.known = known;
  }
}

/** A computation took longer than its `hardTimeout`. Its signal is aborted, and a late result is dropped. */
export class ComputeTimeoutError extends LaneCacheError {
  declare readonly code: 'COMPUTE_TIMEOUT';
  readonly timeoutMs: number;

  constructor(lane: string, key: string, timeoutMs: number) {
    super(
      'COMPUTE_TIMEOUT',
      `Computing '${key}' in lane '${lane}' took longer than its hardTimeout of ${timeoutMs} ms. Raise hardTimeout, or let the computation watch ctx.signal and stop.`,
      { lane, key },
    );
    this.timeoutMs = timeoutMs;
  }
}

/** The invalidation holds in this process, but the persistent tier could neither store it nor be emptied. */
export class InvalidationNotDurableError extends LaneCacheError {
  declare readonly code: 'INVALIDATION_NOT_DURABLE';

  constructor(directory: string, details: LaneCacheErrorDetails = {}) {
    super(
      'INVALIDATION_NOT_DURABLE',
      `The invalidation holds in this process, but it could not be written to '${directory}', nor could that directory be set aside. Old entries may come back after a restart. Check the disk and its permissions, then remove the directory.`,
      details,
    );
  }
}

/** Another process owns the directory, and the operation needs its ownership. */
export class DirectoryInUseError extends LaneCacheError {
  declare readonly code: 'DIRECTORY_IN_USE';
  readonly directory: string;
  readonly ownerPid: number;
  readonly ownerHost: string;

  constructor(directory: string, ownerPid: number, ownerHost: string) {
    super(
      'DIRECTORY_IN_USE',
      `'${directory}' belongs to process ${ownerPid} on ${ownerHost}. Stop that process, or give this one a directory of its own.`,
    );
    this.directory = directory;
    this.ownerPid = ownerPid;
    this.ownerHost = ownerHost;
  }
}
