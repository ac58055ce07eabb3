import { describe, expect, it } from '@jest/globals';
import * as health from '../../lib/health/index.js';
import * as main from '../../lib/index.js';
import * as redis from '../../lib/redis/index.js';
import * as testing from '../../lib/testing/index.js';

/** Scripts, dashboards and other people's types are made for these: a change here is a change for them. */

type Within<A, B> = [A] extends [B] ? true : false;
type Same<A, B> = Within<[A, keyof A], [B, keyof B]> & Within<[B, keyof B], [A, keyof A]>;
/** Does not compile unless both are the same type. */
const same = <A, B>(verdict: Same<A, B>): void => expect(verdict).toBe(true);

type Lanes<T> = Readonly<Record<string, T>>;
type Tier = 'l1' | 'l2' | 'l3' | 'l4';
type OffReason =
  | 'policy'
  | 'no-directory'
  | 'in-use'
  | 'breaker'
  | 'disk-full'
  | 'read-only'
  | 'quarantined'
  | 'disconnected'
  | 'closed';
type Kind = 'key' | 'tag' | 'pattern' | 'all' | 'expire';

describe('what is exported', () => {
  it('has names that stay', () => {
    expect(Object.keys(main).toSorted()).toEqual([
      'CacheInvalidate',
      'CacheManager',
      'CachePut',
      'CacheResponse',
      'CacheType',
      'Cached',
      'CheckpointCleanupTask',
      'CheckpointConflictError',
      'CheckpointDamagedError',
      'CheckpointService',
      'CheckpointTooLargeError',
      'Checkpointed',
      'ComputeTimeoutError',
      'DiskTier',
      'DistributedTier',
      'InjectLane',
      'InvalidationNotDurableError',
      'LANE_CACHE',
      'LaneAwareCacheStrategy',
      'LaneCacheError',
      'LaneCacheInterceptor',
      'LaneCacheMetrics',
      'LaneCacheModule',
      'LaneType',
      'MemoryTier',
      'PersistentTier',
      'ReentrantError',
      'UnknownLaneError',
      'defineLane',
      'getLaneToken',
      'isLaneCacheError',
      'laneKeyvStore',
      'measureCachePerformance',
      'parseDuration',
      'parseSize',
    ]);
    expect(Object.keys(health)).toEqual(['LaneCacheHealthIndicator']);
    expect(Object.keys(redis).toSorted()).toEqual(['fromIoredis', 'fromNodeRedis']);
    expect(Object.keys(testing).toSorted()).toEqual([
      'ChaosError',
      'FakeClock',
      'LaneCacheTestingModule',
      'chaosTier',
      'expectCached',
      'tierContract',
    ]);
  });
});

describe('numbers', () => {
  it('of a tier, a lane and an app keep their shape', () => {
    same<main.TierOffReason, OffReason>(true);
    interface TierMetrics {
      readonly state: 'on' | 'off';
      readonly reason?: OffReason;
      readonly since?: string;
      readonly entries: number;
      readonly sizeBytes: number;
      readonly hits: number;
      readonly misses: number;
      readonly hitRate: number;
      readonly evictions: number;
      readonly expirations: number;
      readonly errors: number;
    }
    same<main.TierMetrics, TierMetrics>(true);
    type Bypassed =
      | 'forced'
      | 'excluded'
      | 'ttl-zero'
      | 'condition'
      | 'unkeyable-arguments'
      | 'closed'
      | 'stale-distributed'
      | 'personal'
      | 'no-name'
      | 'host'
      | 'request'
      | 'no-store';
    type Refused =
      | 'strategy'
      | 'too-large'
      | 'unstorable'
      | 'undefined'
      | 'skip-cache'
      | 'fenced'
      | 'unless'
      | 'disk-full'
      | 'backlog';
    interface LaneMetrics {
      readonly lane: string;
      readonly timestamp: string;
      readonly since: string;
      readonly l1: TierMetrics;
      readonly l2: TierMetrics;
      readonly l3: TierMetrics;
      readonly l4: TierMetrics;
      readonly requests: number;
      readonly misses: number;
      readonly joined: number;
      readonly hitRate: number;
      readonly bypassed: Readonly<Record<Bypassed, number>>;
      readonly refused: Readonly<Record<Refused, number>>;
      readonly computed: number;
      readonly failed: number;
      readonly abandoned: number;
      readonly staleServed: number;
      readonly invalidations: Readonly<Record<Kind, number>>;
      readonly avgComputeMs: number;
      readonly timeSavedMs: number;
      readonly timeSavedRate: number;
      readonly eviction: {
        readonly policy: 'lru' | 'adaptive' | 'strategy';
        readonly leader?: string;
        readonly shadows?: Readonly<Record<string, number>>;
      };
      readonly speedUp: number;
      readonly policy: main.CachePolicy;
    }
    same<main.LaneMetrics, LaneMetrics>(true);
    interface Host {
      readonly directory: string;
      readonly role: 'owner' | 'follower' | 'alone';
      readonly processes: readonly {
        readonly pid: number;
        readonly role: 'owner' | 'follower';
        readonly since: string;
        readonly version: string;
      }[];
      readonly log: { readonly position: number; readonly behindBytes: number; readonly losses: number };
      readonly offers: { readonly taken: number; readonly refused: number };
    }
    same<main.HostReport, Host>(true);
    interface Report {
      readonly timestamp: string;
      readonly lanes: Lanes<LaneMetrics>;
      readonly faults: main.FaultCounts;
      readonly host?: main.HostReport;
      readonly shared?: main.SharedReport;
    }
    same<main.MetricsReport, Report>(true);
    interface Shared {
      readonly isConnected: boolean;
      readonly lagMs: number;
      readonly behind: number;
    }
    same<main.SharedReport, Shared>(true);
  });

  it('of a measurement keep theirs', () => {
    interface Times {
      readonly avgMs: number;
      readonly p50Ms: number;
      readonly p99Ms: number;
    }
    interface PerformanceReport {
      readonly iterations: number;
      readonly cacheHits: number;
      readonly cacheMisses: number;
      readonly hitRate: number;
      readonly avgHitTimeMs: number;
      readonly avgMissTimeMs: number;
      readonly tiers: Readonly<Record<Tier, Times & { readonly hits: number }>>;
      readonly miss: Times;
    }
    same<main.PerformanceReport, PerformanceReport>(true);
  });
});

describe('the shapes of keys and checkpoints', () => {
  it('keeps its shape', () => {
    same<
      main.MissReason,
      | 'memory-only'
      | 'never-seen'
      | 'expired'
      | 'invalidated'
      | 'evicted'
      | 'refused'
      | 'tier-off'
      | 'version'
      | 'schema'
      | 'damaged'
      | 'unknown'
    >(true);
    same<keyof main.Explanation, 'key' | 'lane' | 'tiers' | 'next' | 'answeredBy' | 'summary'>(true);
    same<main.Explanation['next'], 'hit' | 'join' | 'stale' | 'compute' | 'bypass'>(true);
    same<keyof main.TierExplanation, 'tier' | 'status' | 'reason' | 'detail' | 'entry' | 'invalidatedBy'>(true);
    same<main.TierExplanation['status'], 'present' | 'absent' | 'unusable' | 'off'>(true);
    same<
      main.EntryInfo,
      {
        readonly key: string;
        readonly lane: string;
        readonly tiers: readonly Tier[];
        readonly tags: readonly string[];
        readonly sizeBytes: number;
        readonly computeMs: number;
        readonly ageMs: number;
        readonly remainingMs: number;
        readonly accessCount: number;
      }
    >(true);
    type Counts = 'cachedCheckpoints' | 'versions' | 'bytes' | 'oldest' | 'newest';
    same<keyof main.CheckpointStatus, Counts | 'state' | 'reason' | 'lanes'>(true);
    same<keyof main.CheckpointStatus['lanes'][string], Counts>(true);
    same<keyof main.CheckpointPage, 'items' | 'next'>(true);
    same<keyof main.CleanupReport, 'removed' | 'bytes' | 'pinnedKept' | 'dryRun' | 'checkpoints'>(true);
  });
});

describe('events and errors', () => {
  it('keep their names', () => {
    same<
      main.LaneCacheEventName,
      | 'hit'
      | 'miss'
      | 'bypass'
      | 'refuse'
      | 'store'
      | 'compute'
      | 'stale'
      | 'evict'
      | 'invalidate'
      | 'tier'
      | 'owner'
      | 'host'
      | 'quarantine'
      | 'sweep'
      | 'fault'
      | 'checkpoint'
      | 'step'
      | 'workflow'
      | 'cleanup'
      | 'warm'
    >(true);
    same<
      main.LaneCacheErrorCode,
      | 'OPTIONS_INVALID'
      | 'LANE_UNKNOWN'
      | 'LANE_INVALID'
      | 'DECORATOR_INVALID'
      | 'KEY_INVALID'
      | 'KEY_TOO_LONG'
      | 'TAG_INVALID'
      | 'TOO_MANY_TAGS'
      | 'PATTERN_INVALID'
      | 'TTL_INVALID'
      | 'COMPUTE_INVALID'
      | 'COMPUTE_TIMEOUT'
      | 'REENTRANT'
      | 'INVALIDATION_NOT_DURABLE'
      | 'INVALIDATION_PENDING'
      | 'CHECKPOINT_INVALID'
      | 'CHECKPOINT_CONFLICT'
      | 'CHECKPOINT_DAMAGED'
      | 'CHECKPOINT_TOO_LARGE'
      | 'CHECKPOINT_UNSTORABLE'
      | 'CHECKPOINTS_UNAVAILABLE'
      | 'DIRECTORY_UNSUITABLE'
      | 'FORMAT_UNSUPPORTED'
      | 'LMDB_UNAVAILABLE'
      | 'CLOSED'
    >(true);
  });
});
