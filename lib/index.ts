/**
 * The module, the cache manager, the decorators and their types.
 *
 * @module nestjs-lane-cache
 */
export { CacheManager } from './app/cache-app.js';
export { LaneCacheModule } from './module/lane-cache.module.js';
export type {
  DashboardOptions,
  LaneCacheModuleAsyncOptions,
  LaneCacheModuleExtras,
  LaneCacheModuleOptions,
  LaneCacheOptionsFactory,
  MetricsControllerOptions,
} from './module/lane-cache.module.js';
export type { CheckpointOptions, LaneCacheOptions, StorageOptions } from './app/options.js';
export type { DistributedOptions } from './app/options.js';
export type { TelemetryOptions } from './telemetry/telemetry.js';
export { getLaneToken, LANE_CACHE } from './lanes/policy.js';

export { Cached } from './decorators/cached.decorator.js';
export type { CachedOptions } from './decorators/cached.decorator.js';
export type { WarmRule } from './decorators/method-registry.js';
export { CachePut } from './decorators/cache-put.decorator.js';
export type { CachePutOptions } from './decorators/cache-put.decorator.js';
export { CacheInvalidate } from './decorators/cache-invalidate.decorator.js';
export type { CacheInvalidateOptions } from './decorators/cache-invalidate.decorator.js';
export { Checkpointed } from './decorators/checkpointed.decorator.js';
export type { CheckpointedOptions } from './decorators/checkpointed.decorator.js';
export { CacheType } from './decorators/cache-type.decorator.js';
export { InjectLane } from './decorators/inject-lane.decorator.js';
export type {
  AnyAsyncMethod,
  AnyHost,
  AnyMethodDecorator,
  ArgumentsOf,
  AsyncMethod,
  AsyncMethodDecorator,
  OfCall,
  OfResult,
  ResultOf,
} from './decorators/method-registry.js';
export type { KeySpec, TagSpec } from './decorators/specs.js';

export { LaneType } from './lanes/policy.js';
// by star, because a module augmentation does not reach an interface that is exported by name
export type * from './lanes/lane-names.js';
export type {
  CachePolicy,
  CompressionOptions,
  DiskTierPolicy,
  DistributedTierPolicy,
  FreshnessOptions,
  Isolation,
  LaneInputs,
  LaneName,
  LanePolicyInput,
  MemoryTierPolicy,
} from './lanes/policy.js';
export { defineLane } from './lanes/resolve-lanes.js';
export { LaneAwareCacheStrategy } from './lanes/strategy.js';
export type { CacheCandidate, EntryView, LaneStrategy } from './lanes/strategy.js';
export { parseDuration } from './lanes/units.js';
export type { Duration, DurationUnit } from './lanes/units.js';
export { parseSize } from './lanes/units.js';
export type { Size } from './lanes/units.js';

export type { EntryInfo } from './cache/entry-listing.js';
export type { Explanation, TierExplanation } from './cache/explain.js';
export { measureCachePerformance } from './benchmark/measure-performance.js';
export type { PerformanceOptions, PerformanceReport } from './benchmark/measure-performance.js';
export type {
  Compute,
  ComputeContext,
  ComputeMany,
  ComputeManyContext,
  EntryOptions,
  ReadOptions,
  StaleValue,
  WarmOptions,
  WriteOptions,
} from './cache/call-options.js';
export type { WarmReport } from './cache/warm.js';
export type { StandardSchema } from './cache/schema-check.js';
export type { CacheableType, ClassOf, TypeEntry } from './entries/codec/class-kinds.js';
export type { TierName } from './entries/tier-name.js';

export { CheckpointService } from './checkpoints/checkpoint-service.js';
export type {
  Checkpoint,
  CheckpointFilter,
  CheckpointInfo,
  CheckpointPage,
  CheckpointStatus,
  CleanupOptions,
  CleanupReport,
  DueCheckpoint,
  ForkCheckpointOptions,
  RestoreCheckpointOptions,
  SaveCheckpointOptions,
  StepOptions,
} from './checkpoints/checkpoint.js';
export type { RetentionOptions } from './checkpoints/retention.js';
export { CheckpointCleanupTask } from './housekeeping/checkpoint-cleanup.task.js';

export { LaneCacheMetrics } from './metrics/lane-cache-metrics.js';
export type { HostReport, MetricsReport, SharedReport } from './metrics/lane-cache-metrics.js';
export type { LaneMetrics, TierMetrics } from './events/lane-metrics.js';
export type {
  IsoTime,
  LaneCacheEvent,
  LaneCacheEventMap,
  LaneCacheEventName,
  LaneCacheEvents,
  SweepReport,
} from './events/event-map.js';
export type { Collaborator, Fault, FaultCounts } from './events/reasons.js';
export type { BypassReason, InvalidationKind, MissReason, RefusalReason, TierOffReason } from './events/reasons.js';

export { CacheResponse } from './http/cache-response.decorator.js';
export { LaneCacheInterceptor } from './http/lane-cache.interceptor.js';
export type { CacheResponseOptions, VaryName } from './http/cache-response-options.js';

export { laneKeyvStore } from './keyv/lane-keyv-store.js';
export type { KeyvEntry, LaneKeyvStore } from './keyv/lane-keyv-store.js';

export { DiskTier } from './tiers/stored-tier.js';
export { DistributedTier } from './tiers/distributed-tier.js';
export { MemoryTier } from './tiers/memory-tier.js';
export { PersistentTier } from './tiers/persistent-tier.js';
export type { Tier, TierLookup, TierRecord, TierState, TierUsage } from './tiers/tier.js';
export type { Clock } from './clock/clock.js';

export {
  ComputeTimeoutError,
  InvalidationNotDurableError,
  ReentrantError,
  UnknownLaneError,
} from './errors/cache.errors.js';
export {
  CheckpointConflictError,
  CheckpointDamagedError,
  CheckpointTooLargeError,
} from './errors/checkpoint.errors.js';
export { isLaneCacheError, LaneCacheError } from './errors/lane-cache.error.js';
export type { LaneCacheErrorCode } from './errors/lane-cache.error.js';
