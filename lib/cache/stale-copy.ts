import type { StaleValue } from './options.js';
import type { Payload } from './payload.js';

/** An entry past its ttl that may still be served for as long as its grace lasts, if it counts at that moment. */
export interface StaleCopy {
  readonly key: string;
  readonly tags: readonly string[];
  readonly birth: number;
  readonly landedAt: number;
  readonly expiresAt: number;
  readonly staleUntil: number;
  readonly payload: Payload;
}

/** The copy whose ttl ended last. */
export function fresherOf(a: StaleCopy | undefined, b: StaleCopy | undefined): StaleCopy | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return b.expiresAt > a.expiresAt ? b : a;
}

/** As the computation sees it. */
export function staleValueOf(copy: StaleCopy, now: number): StaleValue<unknown> {
  return {
    value: copy.payload.give('frozen'),
    ageMs: now - copy.landedAt,
    expiredMs: Math.max(0, now - copy.expiresAt),
  };
}
