import { algorithmOf } from '../entries/compression.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import {
  type Kind,
  count,
  either,
  flag,
  kindOf,
  listOf,
  objectWith,
  oneOf,
  text,
  defineOptions,
  coded,
  inWords,
  nonEmpty,
  share,
  type Kinds,
} from '../options/options-shape.js';
import type {
  CachePolicy,
  CompressionOptions,
  DiskTierPolicy,
  DistributedTierPolicy,
  LanePolicyInput,
  MemoryTierPolicy,
  ResolvedLane,
  FreshnessOptions,
  Isolation,
} from './policy.js';
import type { LaneStrategy } from './strategy.js';
import {
  readDuration,
  readSize,
  type Duration,
  type Size,
  DURATION_FORM,
  LARGEST_VALUE_BYTES,
  SIZE_FORM,
} from './units.js';

/** Whether there is such a lane is the app's to know. */
export const laneName = inWords('the name of a lane', nonEmpty);

export const duration = kindOf(DURATION_FORM, (value): value is Duration => readDuration(value) !== undefined);

/** A duration above 0. */
export const period = kindOf(
  DURATION_FORM.replace('0 or more', 'above 0'),
  (value): value is Duration => (readDuration(value) ?? 0) > 0,
);

/** A duration of a call, which has a code of its own. */
export const callDuration = coded('TTL_INVALID', duration);

export const size = kindOf(SIZE_FORM, (value): value is Size => readSize(value) !== undefined);

/** A size above 0. */
const sizeAboveZero = kindOf(
  SIZE_FORM.replace('0 or more', 'above 0'),
  (value): value is Size => (readSize(value) ?? 0) > 0,
);

/** The limit of an entry or a state. */
export const valueSize = kindOf(SIZE_FORM.replace('0 or more', 'above 0, at most 1 GB'), (value): value is Size => {
  const bytes = readSize(value) ?? 0;
  return bytes > 0 && bytes <= LARGEST_VALUE_BYTES;
});

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

const LONGEST_TEXT = 512;

const phrases = listOf(
  kindOf('', (value): value is string => typeof value === 'string' && value !== '' && value.length <= LONGEST_TEXT),
  `strings of 1 to ${LONGEST_TEXT} characters`,
);

/** Two numbers, from and to, of 0 to `highest`. */
function range(highest: number): Kind<readonly [number, number]> {
  const upTo = highest === Infinity ? '0 or more' : `0 to ${highest}`;
  return kindOf(`[from, to], two numbers of ${upTo}`, (value): value is [number, number] => {
    if (!Array.isArray(value) || value.length !== 2) return false;
    const [from, to]: readonly unknown[] = value;
    return (
      typeof from === 'number' && typeof to === 'number' && from >= 0 && from <= to && to <= highest && to < Infinity
    );
  });
}

/** The places of all entries in memory are reserved at the start, 16 bytes for each. */
const MOST_IN_MEMORY = 10_000_000;

const memoryCount = kindOf(
  'a whole number from 1 to 10,000,000',
  (value): value is number => Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= MOST_IN_MEMORY,
);
const disk = defineOptions<DiskTierPolicy>('A lane', { enabled: flag, maxEntries: count, maxBytes: sizeAboveZero });

/** A lane as an app writes it down. */
export const LANE = defineOptions<LanePolicyInput>(
  'A lane',
  {
    extends: text,
    description: text,
    useCases: phrases,
    l1: defineOptions<MemoryTierPolicy>('A lane', { maxEntries: memoryCount, maxBytes: sizeAboveZero }),
    l2: disk,
    l3: disk,
    l4: defineOptions<DistributedTierPolicy>('A lane', {
      enabled: flag,
      coalesce: oneOf('process', 'host', 'cluster'),
    }),
    maxEntryBytes: valueSize,
    ttl: duration,
    compression: either(
      flag,
      defineOptions<CompressionOptions>('A lane', { minBytes: sizeAboveZero, codec: oneOf('brotli', 'zstd') }),
    ),
    isolation,
    eviction: oneOf('lru', 'adaptive'),
    compareEviction: flag,
    strategy: objectWith<LaneStrategy>(
      'an object with shouldCache and getEvictionPriority',
      'shouldCache',
      'getEvictionPriority',
    ),
    include: phrases,
    exclude: phrases,
    targets: defineOptions<NonNullable<LanePolicyInput['targets']>>('A lane', {
      hitRate: range(100),
      speedUp: range(Infinity),
    }),
    ...freshness(duration, period),
  },
  { code: 'LANE_INVALID' },
);

/** A lane as it was written, its shape and each of its fields checked. Throws LANE_INVALID. */
export function openLane(lane: string | undefined, path: string, written: unknown): LanePolicyInput {
  const whose = lane === undefined ? 'Invalid lane' : `Lane '${lane}' is invalid`;
  return LANE.read(written ?? null, { whose, lane, path });
}

/** The rules of a lane: what `written` says, and `base` where it is silent. */
export function readLane(written: LanePolicyInput, lane: string, base: ResolvedLane): ResolvedLane {
  const from = base.policy;
  const strategy = written.strategy ?? base.strategy;
  const isolated = written.isolation ?? from.isolation;
  // a new lane that describes itself is not for what the other lane is for
  const isAnother = lane !== from.lane && written.description !== undefined;
  const policy: CachePolicy = {
    lane,
    description: written.description ?? from.description,
    useCases: written.useCases ?? (isAnother ? [] : from.useCases),
    l1: memoryOf(written.l1, from.l1),
    l2: diskOf(written.l2, from.l2),
    l3: diskOf(written.l3, from.l3),
    l4: {
      // Live references cannot be sent, so a shared lane has no L4 by itself.
      enabled: written.l4?.enabled ?? (from.l4.enabled && isolated !== 'shared'),
      coalesce: written.l4?.coalesce ?? from.l4.coalesce,
    },
    maxEntryBytes: bytesOf(written.maxEntryBytes, from.maxEntryBytes),
    ttlMs: msOf(written.ttl, from.ttlMs),
    compression: compressionOf(written.compression, from.compression),
    isolation: isolated,
    eviction: evictionOf(written, base, strategy),
    compareEviction: written.compareEviction ?? from.compareEviction,
    graceMs: msOf(written.grace, from.graceMs),
    graceBackoffMs: msOf(written.graceBackoff, from.graceBackoffMs),
    refreshAhead: written.refreshAhead ?? from.refreshAhead,
    softTimeoutMs: msOf(written.softTimeout, from.softTimeoutMs),
    hardTimeoutMs: msOf(written.hardTimeout, from.hardTimeoutMs),
    jitterMs: msOf(written.jitter, from.jitterMs),
    include: written.include ?? from.include,
    exclude: written.exclude ?? from.exclude,
    targets: { ...from.targets, ...written.targets },
  };
  return { policy, strategy, eviction: undefined };
}

/** A strategy in an adaptive lane is refused by `checkTogether`. */
function evictionOf(
  { eviction }: LanePolicyInput,
  { policy: from }: ResolvedLane,
  strategy: LaneStrategy | undefined,
): CachePolicy['eviction'] {
  const asked = eviction ?? from.eviction;
  if (asked === 'adaptive') return 'adaptive';
  return strategy === undefined ? 'lru' : 'strategy';
}

/** Checks what no field can be judged for alone. Throws LANE_INVALID. */
export function checkTogether(path: string, { policy, strategy }: ResolvedLane): void {
  if (strategy !== undefined && policy.eviction === 'adaptive') {
    const rule = `is 'adaptive', and the lane has a strategy as well: both decide what is evicted first. Leave one of them out; 'include' and 'exclude' choose what is stored`;
    throw laneError(policy.lane, `${path}.eviction`, rule);
  }
  const { lane, isolation: isolated, l2, l3, l4, ttlMs, jitterMs, compression } = policy;
  if (compression.enabled && algorithmOf(compression.codec) === undefined) {
    const rule = `asks for ${compression.codec}, which Node ${process.versions.node} does not have. Run every process of the app with Node 22.15 or later, or choose codec: 'brotli'`;
    throw laneError(lane, `${path}.compression`, rule);
  }
  if (isolated === 'shared' && (l2.enabled || l3.enabled || l4.enabled)) {
    const rule = `can be 'shared' only in a lane that lives in memory alone; set enabled: false for l2, l3 and l4, or choose 'frozen' or 'clone'`;
    throw laneError(lane, `${path}.isolation`, rule);
  }
  if (ttlMs > 0 && jitterMs >= ttlMs) {
    throw laneError(lane, `${path}.jitter`, `must be shorter than the lane's ttl of ${ttlMs} ms, not '${jitterMs}ms'`);
  }
}

/** The error that says what `field` of a lane must be. */
export function laneError(lane: string, field: string, rule: string): LaneCacheError {
  return new LaneCacheError('LANE_INVALID', `Lane '${lane}' is invalid: '${field}' ${rule}.`, { lane, field });
}

const msOf = <F>(written: Duration | undefined, base: F): number | F => readDuration(written) ?? base;
const bytesOf = (written: Size | undefined, base: number): number => readSize(written) ?? base;

function memoryOf(written: MemoryTierPolicy | undefined, base: CachePolicy['l1']): CachePolicy['l1'] {
  return {
    maxEntries: written?.maxEntries ?? base.maxEntries,
    maxBytes: bytesOf(written?.maxBytes, base.maxBytes),
  };
}

function diskOf(written: DiskTierPolicy | undefined, base: CachePolicy['l2']): CachePolicy['l2'] {
  return { enabled: written?.enabled ?? base.enabled, ...memoryOf(written, base) };
}

function compressionOf(
  written: LanePolicyInput['compression'],
  { enabled, minBytes, codec }: CachePolicy['compression'],
): CachePolicy['compression'] {
  if (typeof written !== 'object') return { enabled: written ?? enabled, minBytes, codec };
  return { enabled: true, minBytes: bytesOf(written.minBytes, minBytes), codec: written.codec ?? codec };
}

/** Freezes a policy and all below it, in place. */
export function freezePolicy(policy: CachePolicy): CachePolicy {
  freezeBelow(policy);
  return policy;
}

function freezeBelow(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  Object.values(value).forEach(freezeBelow);
}
