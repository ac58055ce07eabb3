import { LaneCacheError } from '../errors/lane-cache.error.js';
import { looksLikeMilliseconds } from '../lanes/ttl-warning.js';
import type { LaneSpace } from './lane-space.js';
import type { EntryOptions } from './options.js';
import { resolveTerms, type Terms } from './terms.js';

/** Checks a call's options and lays them over the lane's. A ttl that was probably meant in milliseconds warns once. */
export function termsOf(space: LaneSpace, options: EntryOptions | undefined): Terms {
  const { lane, parts, policy } = space;
  const terms = resolveTerms(lane, space.terms, options);
  if (options !== undefined && looksLikeMilliseconds(options.ttl, policy.ttlMs)) {
    const ttl = String(options.ttl);
    parts.warnOnce(
      `ttl:${lane}`,
      `A ttl of ${ttl} was given in lane '${lane}'. A bare number is SECONDS. Write '${ttl}ms' if milliseconds were meant, '${ttl}s' if not.`,
    );
  }
  return terms;
}

/** Whether what memory holds can be handed out without a look at the other options. */
export function readsAsUsual(options: EntryOptions): boolean {
  return (
    options.forceFresh !== true &&
    options.isolation === undefined &&
    options.schema === undefined &&
    options.version === undefined &&
    options.signal === undefined &&
    options.ttl !== 0
  );
}

/** Throws COMPUTE_INVALID. */
export function checkCompute(compute: unknown, lane: string): void {
  if (typeof compute === 'function') return;
  throw new LaneCacheError(
    'COMPUTE_INVALID',
    `The computation given in lane '${lane}' is ${compute === null ? 'null' : `of type ${typeof compute}`}, not a function. Pass a function that returns the value or a promise of it.`,
    { lane },
  );
}
