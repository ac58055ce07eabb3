import type { Duration } from '../lanes/duration.js';

/** Longer than any cache lasts. */
export const FOREVER_MS = Number.MAX_SAFE_INTEGER;

/**
 * A ttl as Keyv and cache-manager have it, in MILLISECONDS, as the lanes have it. None, or 0, which Keyv hands on as
 * none, is undefined: the lane's own. One below 0 is over already, as one of 0 is to the lanes: nothing is kept. Throws
 * TTL_INVALID where it is used, for what is no duration.
 */
export function durationOf(ttlMs: number | undefined): Duration | undefined {
  if (ttlMs === undefined || ttlMs === null || ttlMs === 0) return undefined;
  if (ttlMs < 0) return 0;
  // as text, because a bare number would be seconds
  if (ttlMs > FOREVER_MS) return `${FOREVER_MS}ms`;
  return ttlMs > 0 && ttlMs < 1 ? '1ms' : `${ttlMs}ms`;
}
