/** Stable, machine-readable reasons. Texts may change; codes do not. `docs/errors.md` is made of what stands here. */
export type LaneCacheErrorCode =
  /**
   * An option has an unknown name, the wrong type, or a value that makes no sense. `field` is its path.
   *
   * Remedy: Correct the option that the text names. The text suggests the nearest name.
   */
  | 'OPTIONS_INVALID'
  /**
   * A call, a decorator or a filter names a lane that the app does not define. `known` lists those there are.
   *
   * Remedy: Define the lane under `lanes`, or correct its name.
   */
  | 'LANE_UNKNOWN'
  /**
   * The policy of a lane contradicts itself or exceeds a limit. The app does not boot. `lane` and `field` say where.
   *
   * Remedy: Correct the field that the text names.
   */
  | 'LANE_INVALID'
  /**
   * A decorator has options that contradict each other or its method, or two methods would share their keys. The app
   * does not boot.
   *
   * Remedy: Change the decorator as the text says.
   */
  | 'DECORATOR_INVALID'
  /**
   * A key is empty or no text, or the arguments of a method give no key.
   *
   * Remedy: Give a text. For a method, give the decorator a `key`.
   */
  | 'KEY_INVALID'
  /**
   * A key takes more than 64 KB.
   *
   * Remedy: Use a hash of what the key is made from.
   */
  | 'KEY_TOO_LONG'
  /**
   * A tag is empty, no text, or longer than 256 characters, or the tags are no list.
   *
   * Remedy: Give a list of texts.
   */
  | 'TAG_INVALID'
  /**
   * An entry has more than 64 tags.
   *
   * Remedy: Tag with what is invalidated together, not with every part.
   */
  | 'TOO_MANY_TAGS'
  /**
   * A pattern is empty, too long or no text.
   *
   * Remedy: Give 1 to 512 characters. `*` stands for any run of characters, `?` for one.
   */
  | 'PATTERN_INVALID'
  /**
   * A duration cannot be read, or a checkpoint would end at once.
   *
   * Remedy: Give seconds as a number, or a text such as `'500ms'` or `'10m'`.
   */
  | 'TTL_INVALID'
  /**
   * A computation is no function, or one for several keys did not return a `Map`.
   *
   * Remedy: Give a function. For several keys, return a `Map` from each key to its value.
   */
  | 'COMPUTE_INVALID'
  /**
   * A computation exceeded its `hardTimeout`, or did not start in time. `timeoutMs` is the limit.
   *
   * Remedy: Raise `hardTimeout`, or let the computation watch `ctx.signal` and stop.
   */
  | 'COMPUTE_TIMEOUT'
  /**
   * A computation asks for a key that waits for this computation, so that neither would end.
   *
   * Remedy: Ask for another key inside, or compute the value without the cache.
   */
  | 'REENTRANT'
  /**
   * An invalidation holds in this process and could not be written to disk. Old entries could come back after a
   * restart.
   *
   * Remedy: Mend the disk or its permissions, then call again.
   */
  | 'INVALIDATION_NOT_DURABLE'
  /**
   * An invalidation holds in this process. Redis did not take it in time, and it could not be kept on disk.
   *
   * Remedy: Wait until Redis answers again, or call again.
   */
  | 'INVALIDATION_PENDING'
  /**
   * An id, a state, a filter or an option of a checkpoint is wrong, or the app cannot rebuild a saved state.
   *
   * Remedy: Correct what the text names. List a missing class under `types`, or give it a `migrate`.
   */
  | 'CHECKPOINT_INVALID'
  /**
   * Another save came first: the checkpoint is not at the expected version. `currentVersion` is the version it has.
   *
   * Remedy: Restore it again, apply the change, and save with the new version.
   */
  | 'CHECKPOINT_CONFLICT'
  /**
   * The bytes of a saved version are not those that were saved.
   *
   * Remedy: Restore an older version, and check the disk with `npx nestjs-lane-cache verify`.
   */
  | 'CHECKPOINT_DAMAGED'
  /**
   * A state takes more bytes than `checkpoints.maxStateBytes`.
   *
   * Remedy: Store less in it, or raise the limit.
   */
  | 'CHECKPOINT_TOO_LARGE'
  /**
   * A state holds what cannot be given back unchanged, such as a function or an instance of an unknown class.
   * `field` says where.
   *
   * Remedy: Save plain data, or list the class under `types`.
   */
  | 'CHECKPOINT_UNSTORABLE'
  /**
   * Checkpoints cannot be reached: there is no directory, the disk fails, or the process that owns the directory, or the
   * server, does not answer.
   *
   * Remedy: Call again later. The text says what is missing.
   */
  | 'CHECKPOINTS_UNAVAILABLE'
  /**
   * The directory cannot hold a cache: its file system, its owner or the length of its path does not allow it.
   *
   * Remedy: Give the app a directory of its own on a local disk.
   */
  | 'DIRECTORY_UNSUITABLE'
  /**
   * The files were written by a release that this one cannot read. They are left as they are.
   *
   * Remedy: Use the release that wrote them, or another directory.
   */
  | 'FORMAT_UNSUPPORTED'
  /**
   * The package `lmdb` or its binary for this platform is not installed.
   *
   * Remedy: Install with optional dependencies, on the platform where the app runs. Or use `directory: false`.
   */
  | 'LMDB_UNAVAILABLE'
  /**
   * The app was closed before, or during, the call.
   *
   * Remedy: Make no calls after shutdown.
   */
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

/**
 * The base of every error that the library throws. Errors of the caller's own functions pass through unchanged.
 *
 * @example
 * ```ts
 * try {
 *   await cache.get('');
 * } catch (error) {
 *   if (error instanceof LaneCacheError) console.log(error.code); // KEY_INVALID
 * }
 * ```
 */
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

/**
 * Whether `error` is from this library, in its ESM or CommonJS copy, and has `code` if one is given.
 *
 * @example
 * ```ts
 * try {
 *   await cache.invalidate('report');
 * } catch (error) {
 *   if (isLaneCacheError(error, 'INVALIDATION_NOT_DURABLE')) console.error(error.message);
 * }
 * ```
 */
export function isLaneCacheError(error: unknown, code?: LaneCacheErrorCode): error is LaneCacheError {
  if (typeof error !== 'object' || error === null || !(BRAND in error)) return false;
  return code === undefined || ('code' in error && error.code === code);
}
