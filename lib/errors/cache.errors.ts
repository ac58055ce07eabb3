import { LaneCacheError, type LaneCacheErrorDetails } from './lane-cache.error.js';

/**
 * The app does not define the lane.
 *
 * @example
 * ```ts
 * try {
 *   cache.forLane('unknown' as 'docs');
 * } catch (error) {
 *   if (error instanceof UnknownLaneError) console.log(error.known); // the lanes of the app
 * }
 * ```
 */
export class UnknownLaneError extends LaneCacheError {
  declare readonly code: 'LANE_UNKNOWN';
  readonly known: readonly string[];

  /** `askedBy` names what refers to the lane, such as a decorator, if it is not the caller. */
  constructor(name: string, known: readonly string[], askedBy?: string, field?: string) {
    const lane = nameOf(name);
    super(
      'LANE_UNKNOWN',
      `${askedBy === undefined ? 'There' : `${askedBy}: there`} is no lane '${lane}'. Known lanes: ${known.join(', ')}. Define it under 'lanes' in the options, or use one of these.`,
      { lane, field },
    );
    this.known = known;
  }
}

/** JavaScript callers may name a lane by any value. No code of the value runs. */
const nameOf = (lane: unknown): string =>
  typeof lane === 'string' || lane === undefined || lane === null ? String(lane) : `[${typeof lane}]`;

/** What did not end in time. `crowded`: it was not even started, because too many that were given up still run. */
export type TimedOut = 'computing' | 'searching' | 'queued' | 'crowded';

const WHAT_TIMED_OUT: Readonly<Record<TimedOut, (ms: number) => string>> = Object.freeze({
  computing: (ms) =>
    `took longer than its hardTimeout of ${ms} ms. Raise hardTimeout, or let the computation watch ctx.signal and stop.`,
  searching: (ms) =>
    `was not started within its hardTimeout of ${ms} ms, because the tiers below memory had not answered.`,
  queued: (ms) =>
    `was not started within its hardTimeout of ${ms} ms, because two earlier computations of the key, which were invalidated, still run. Raise hardTimeout, or give them a hardTimeout.`,
  crowded: (ms) =>
    `was not started: 8 computations of the key were given up at their hardTimeout (${ms} ms for the last) and still run. The next one starts when one of them ends, or ten times its hardTimeout after it was given up. Let the computation watch ctx.signal and stop.`,
});

/**
 * A computation took longer than its `hardTimeout`, or was not started in time, as the text says. The signal of a
 * computation that nobody waits for any more is aborted, and a late result is dropped.
 *
 * @example
 * ```ts
 * try {
 *   await cache.getOrSet('report', ({ signal }) => fetch('https://example.com', { signal }), { hardTimeout: '2s' });
 * } catch (error) {
 *   if (error instanceof ComputeTimeoutError) console.log(error.timeoutMs); // 2000
 * }
 * ```
 */
export class ComputeTimeoutError extends LaneCacheError {
  declare readonly code: 'COMPUTE_TIMEOUT';
  readonly timeoutMs: number;

  constructor(lane: string, key: string, timeoutMs: number, what: TimedOut = 'computing') {
    super('COMPUTE_TIMEOUT', `Computing '${key}' in lane '${lane}' ${WHAT_TIMED_OUT[what](timeoutMs)}`, { lane, key });
    this.timeoutMs = timeoutMs;
  }
}

/** So many computations of a circle are named at most. */
const NAMED = 12;

/**
 * Waiting would never end, because each computation of a circle waits for the next. The caller that would close the circle
 * gets this error; the others go on waiting.
 *
 * @example
 * ```ts
 * try {
 *   await cache.getOrSet('a', () => cache.getOrSet('a', () => 1));
 * } catch (error) {
 *   if (error instanceof ReentrantError) console.log(error.circle);
 * }
 * ```
 */
export class ReentrantError extends LaneCacheError {
  declare readonly code: 'REENTRANT';
  /** As `lane:key`. The last one is the first one again. */
  readonly circle: readonly string[];

  constructor(circle: readonly string[], details: LaneCacheErrorDetails = {}) {
    const steps = circle.filter((label, index) => label !== circle[index - 1] || index === circle.length - 1);
    const named = steps.length <= NAMED ? steps : [...steps.slice(0, NAMED - 1), '…', ...steps.slice(-1)];
    super(
      'REENTRANT',
      `Waiting would never end, because each of these computations waits for the next: ${named.join(' -> ')}. Ask for another key, or compute the value without the cache.`,
      details,
    );
    this.circle = Object.freeze(steps);
  }
}

/**
 * The invalidation holds in this process, but the persistent tier could neither store it nor be emptied.
 *
 * @example
 * ```ts
 * try {
 *   await cache.invalidate('report');
 * } catch (error) {
 *   if (error instanceof InvalidationNotDurableError) console.error(error.message); // the disk takes no writes
 * }
 * ```
 */
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
