import type { Kind } from '../options/kind.js';
import { coded, inWords, kindOf, nonEmpty, oneOf, share } from '../options/kinds.js';
import type { Kinds } from '../options/options-shape.js';
import type { FreshnessOptions, Isolation } from './policy.js';
import { DURATION_FORM, readDuration, readSize, SIZE_FORM, type Duration, type Size } from './units.js';

/** Whether there is such a lane is the app's to know. */
export const laneName = inWords('the name of a lane', nonEmpty);

export const duration = kindOf(DURATION_FORM, (value): value is Duration => readDuration(value) !== undefined);

/** A duration above 0. */
export const period = kindOf(`${DURATION_FORM}, above 0`, (value): value is Duration => (readDuration(value) ?? 0) > 0);

/** A duration of a call, which has a code of its own. */
export const callDuration = coded('TTL_INVALID', duration);

export const size = kindOf(SIZE_FORM, (value): value is Size => readSize(value) !== undefined);

/** A size above 0. */
export const sizeAboveZero = kindOf(`${SIZE_FORM}, above 0`, (value): value is Size => (readSize(value) ?? 0) > 0);

export const isolation: Kind<Isolation> = oneOf('frozen', 'clone', 'shared');

/** The freshness options, their durations of the kind that fits the place. */
export const freshness = (time: Kind<Duration>, hardTime: Kind<Duration> = time): Kinds<FreshnessOptions> => ({
  grace: time,
  graceBackoff: time,
  refreshAhead: share,
  softTimeout: time,
  hardTimeout: hardTime,
  jitter: time,
});
