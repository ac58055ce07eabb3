import { DeadlineError } from '../clock/clock.js';
import { isLaneCacheError, type LaneCacheErrorCode } from '../errors/lane-cache.error.js';
import { ConnectionLost, OwnerSilent } from '../ipc/client.js';

/** The exit codes. */
export const EXIT = Object.freeze({
  done: 0,
  findings: 1,
  badArguments: 2,
  noDirectory: 3,
  noAnswer: 4,
  notConfirmed: 5,
  notFound: 6,
  internal: 70,
  /** 128 + SIGINT, as shells report it. */
  interrupted: 130,
});

/** Ends a command with a message and an exit code. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';

  constructor(
    readonly exitCode: number,
    message: string,
  ) {
    super(message);
  }
}

const BY_CODE: Partial<Record<LaneCacheErrorCode, number>> = {
  OPTIONS_INVALID: EXIT.badArguments,
  LANE_UNKNOWN: EXIT.badArguments,
  KEY_INVALID: EXIT.badArguments,
  KEY_TOO_LONG: EXIT.badArguments,
  TAG_INVALID: EXIT.badArguments,
  TOO_MANY_TAGS: EXIT.badArguments,
  PATTERN_INVALID: EXIT.badArguments,
  TTL_INVALID: EXIT.badArguments,
  CHECKPOINT_INVALID: EXIT.badArguments,
  DIRECTORY_UNSUITABLE: EXIT.noDirectory,
  LMDB_UNAVAILABLE: EXIT.noDirectory,
  CLOSED: EXIT.noAnswer,
};

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommandFailed) return error.exitCode;
  if (error instanceof ConnectionLost || error instanceof OwnerSilent || error instanceof DeadlineError) {
    return EXIT.noAnswer;
  }
  return isLaneCacheError(error) ? (BY_CODE[error.code] ?? EXIT.internal) : EXIT.internal;
}
