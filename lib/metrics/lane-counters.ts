import { plausibleMs } from '../clock/clock.js';
import type { TierName } from '../entries/tier-name.js';
import type { CacheEvents } from '../events/event-map.js';
import type { BypassReason, InvalidationKind, MissReason, RefusalReason } from '../events/reasons.js';
import type { LaneRecorder } from '../events/recorder.js';

/** Upper bounds of the buckets of compute times, in seconds. Slower ones are only in the total. */
export const COMPUTE_BUCKETS: readonly number[] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60];

/** One tier's share of a lane's counts. */
interface TierCounts {
  hits: number;
  misses: number;
  evictions: number;
  expirations: number;
  errors: number;
}

/**
 * What a lane did since the process started. Counters only grow; `givenUp` is what is so at this moment. Without events it
 * counts alone.
 */
export class LaneCounters implements LaneRecorder {
  readonly l1 = noCounts();
  readonly l2 = noCounts();
  readonly l3 = noCounts();
  readonly l4 = noCounts();
  readonly bypassed: Record<BypassReason, number> = {
    forced: 0,
    excluded: 0,
    'ttl-zero': 0,
    condition: 0,
    'unkeyable-arguments': 0,
    closed: 0,
    'stale-distributed': 0,
    personal: 0,
    'no-name': 0,
    host: 0,
    request: 0,
    'no-store': 0,
  };
  readonly refused: Record<RefusalReason, number> = {
    strategy: 0,
    'too-large': 0,
    unstorable: 0,
    undefined: 0,
    'skip-cache': 0,
    fenced: 0,
    unless: 0,
    'disk-full': 0,
    backlog: 0,
  };
  readonly invalidations: Record<InvalidationKind, number> = { key: 0, tag: 0, pattern: 0, all: 0, expire: 0 };
  /** How many computations ended within each of COMPUTE_BUCKETS and not within the one before. */
  readonly computeBuckets: number[] = COMPUTE_BUCKETS.map(() => 0);
  misses = 0;
  joins = 0;
  computations = 0;
  failures = 0;
  stale = 0;
  givenUp = 0;
  savedMs = 0;
  computedMs = 0;
  lookedUpMs = 0;

  constructor(
    private readonly lane = '',
    private readonly events?: Pick<CacheEvents, 'wants' | 'wantsHits' | 'emit'>,
  ) {}

  hit(key: string, tier: TierName, computeMs: number): void {
    // A look-up by name takes longer than the count, and this one V8 does ahead where the name is known.
    const counts = tier === 'l1' ? this.l1 : this[tier];
    counts.hits++;
    this.savedMs += computeMs;
    const { events, lane } = this;
    if (events?.wantsHits === true) events.emit('hit', { lane, key, tier });
  }

  miss(): void {
    this.misses++;
  }

  notFound(key: string, reason: MissReason): void {
    const { events, lane } = this;
    if (events?.wants('miss') === true) events.emit('miss', { lane, key, reason });
  }

  bypass(key: string, reason: BypassReason): void {
    this.bypassed[reason]++;
    const { events, lane } = this;
    if (events?.wants('bypass') === true) events.emit('bypass', { lane, key, reason });
  }

  joined(): void {
    this.joins++;
  }

  lookupMiss(tier: TierName): void {
    this[tier].misses++;
  }

  lookedUp(ms: number): void {
    this.lookedUpMs += plausibleMs(ms);
  }

  computed(ms: number): void {
    this.computations++;
    this.computedMs += ms;
    const bucket = COMPUTE_BUCKETS.findIndex((seconds) => ms <= seconds * 1_000);
    if (bucket >= 0) this.computeBuckets[bucket] = (this.computeBuckets[bucket] ?? 0) + 1;
  }

  failed(_ms: number): void {
    this.failures++;
  }

  abandoned(change: 1 | -1): void {
    this.givenUp += change;
  }

  refuse(reason: RefusalReason): void {
    this.refused[reason]++;
  }

  staleServed(): void {
    this.stale++;
  }

  invalidation(kind: InvalidationKind): void {
    this.invalidations[kind]++;
  }

  eviction(tier: TierName, count: number): void {
    this[tier].evictions += count;
  }

  expiration(tier: TierName, count: number): void {
    this[tier].expirations += count;
  }

  tierError(tier: TierName): void {
    this[tier].errors++;
  }
}

function noCounts(): TierCounts {
  return { hits: 0, misses: 0, evictions: 0, expirations: 0, errors: 0 };
}
