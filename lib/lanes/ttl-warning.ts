const DAY_SECONDS = 86_400;

/**
 * Whether a bare numeric ttl was probably meant in milliseconds: over a day, or at least ten times the lane's ttl and
 * divisible by 1,000. Strings carry their unit and are never suspected.
 */
export function looksLikeMilliseconds(ttl: unknown, laneTtlMs: number): boolean {
  if (typeof ttl !== 'number') return false;
  if (ttl > DAY_SECONDS) return true;
  return laneTtlMs > 0 && ttl * 1_000 >= laneTtlMs * 10 && ttl % 1_000 === 0;
}
