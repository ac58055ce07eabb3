import { LaneFields } from './lane-fields.js';
import type { CachePolicy, Isolation, ResolvedLane } from './policy.js';
import type { LaneStrategy } from './strategy.js';

const MEMORY_FIELDS = ['maxEntries', 'maxBytes'] as const;
const DISK_FIELDS = ['enabled', ...MEMORY_FIELDS] as const;
// prettier-ignore
const LANE_FIELDS = [
  'extends', 'description', 'useCases', 'l1', 'l2', 'l3', 'l4', 'maxEntryBytes', 'ttl', 'compression', 'isolation',
  'strategy', 'include', 'exclude', 'targets',
  'grace', 'graceBackoff', 'refreshAhead', 'softTimeout', 'hardTimeout', 'jitter',
] as const;
const ISOLATIONS: readonly Isolation[] = ['frozen', 'clone', 'shared'];
const LONGEST_TEXT = 512;

/** A lane as it was written, its shape and the names of its fields checked. Throws LANE_INVALID. */
export function openLane(lane: string | undefined, path: string, written: unknown): LaneFields {
  return new LaneFields(lane, path, written, LANE_FIELDS);
}

/** The rules of a lane: what `fields` say, and `base` where they are silent. Throws LANE_INVALID. */
export function readLane(fields: LaneFields, lane: string, base: ResolvedLane): ResolvedLane {
  const strategy = fields.read(
    'strategy',
    base.strategy,
    readStrategy,
    'must have shouldCache and getEvictionPriority',
  );
  const from = base.policy;
  const isolation = fields.oneOf('isolation', from.isolation, ISOLATIONS);
  const policy: CachePolicy = {
    lane,
    description: fields.text('description', from.description),
    useCases: fields.texts('useCases', from.useCases, LONGEST_TEXT),
    ...readTiers(fields, from, isolation),
    maxEntryBytes: fields.size('maxEntryBytes', from.maxEntryBytes),
    ttlMs: fields.duration('ttl', from.ttlMs),
    compression: readCompression(fields, from.compression),
    isolation,
    eviction: strategy === undefined ? 'lru' : 'strategy',
    ...readFreshness(fields, from),
    include: fields.texts('include', from.include, LONGEST_TEXT),
    exclude: fields.texts('exclude', from.exclude, LONGEST_TEXT),
    targets: readTargets(fields, from.targets),
  };
  return { policy, strategy };
}

/** Checks what no field can be judged for alone. Throws LANE_INVALID. */
export function checkTogether(fields: LaneFields, { policy }: ResolvedLane): void {
  const { isolation, l2, l3, l4, ttlMs, jitterMs } = policy;
  if (isolation === 'shared' && (l2.enabled || l3.enabled || l4.enabled)) {
    const rule = `can be 'shared' only in a lane that lives in memory alone; set enabled: false for l2, l3 and l4, or choose 'frozen' or 'clone'`;
    throw fields.invalid('isolation', rule);
  }
  if (ttlMs > 0 && jitterMs >= ttlMs) {
    throw fields.invalid('jitter', `must be shorter than the lane's ttl of ${ttlMs} ms`, `${jitterMs}ms`);
  }
}

type Tiers = Pick<CachePolicy, 'l1' | 'l2' | 'l3' | 'l4'>;

function readTiers(fields: LaneFields, base: Tiers, isolation: Isolation): Tiers {
  const l4 = fields.below('l4', ['enabled', 'coalesce']);
  return {
    l1: readMemory(fields.below('l1', MEMORY_FIELDS), base.l1),
    l2: readDisk(fields.below('l2', DISK_FIELDS), base.l2),
    l3: readDisk(fields.below('l3', DISK_FIELDS), base.l3),
    l4: {
      // Live references cannot be sent, so a shared lane has no L4 by itself.
      enabled: l4.flag('enabled', base.l4.enabled && isolation !== 'shared'),
      coalesce: l4.oneOf('coalesce', base.l4.coalesce, ['process', 'cluster']),
    },
  };
}

function readMemory(fields: LaneFields, base: CachePolicy['l1']): CachePolicy['l1'] {
  return { maxEntries: fields.count('maxEntries', base.maxEntries), maxBytes: fields.size('maxBytes', base.maxBytes) };
}

function readDisk(fields: LaneFields, base: CachePolicy['l2']): CachePolicy['l2'] {
  return { enabled: fields.flag('enabled', base.enabled), ...readMemory(fields, base) };
}

function readCompression(fields: LaneFields, base: CachePolicy['compression']): CachePolicy['compression'] {
  const { minBytes } = base;
  const enabled = fields.read('compression', base.enabled, readSwitch, 'must be true, false or { minBytes }');
  if (enabled !== 'detailed') return { enabled, minBytes };
  return { enabled: true, minBytes: fields.below('compression', ['minBytes']).size('minBytes', minBytes) };
}

type Freshness = Pick<
  CachePolicy,
  'graceMs' | 'graceBackoffMs' | 'refreshAhead' | 'softTimeoutMs' | 'hardTimeoutMs' | 'jitterMs'
>;

function readFreshness(fields: LaneFields, base: Freshness): Freshness {
  return {
    graceMs: fields.duration('grace', base.graceMs),
    graceBackoffMs: fields.duration('graceBackoff', base.graceBackoffMs),
    refreshAhead: fields.share('refreshAhead', base.refreshAhead),
    softTimeoutMs: fields.duration('softTimeout', base.softTimeoutMs),
    hardTimeoutMs: fields.span('hardTimeout', base.hardTimeoutMs),
    jitterMs: fields.duration('jitter', base.jitterMs),
  };
}

function readTargets(fields: LaneFields, base: CachePolicy['targets']): CachePolicy['targets'] {
  const targets = fields.below('targets', ['hitRate', 'speedUp']);
  return {
    hitRate: targets.range('hitRate', base.hitRate, 100),
    speedUp: targets.range('speedUp', base.speedUp, Infinity),
  };
}

function readSwitch(value: unknown): boolean | 'detailed' | undefined {
  if (typeof value === 'boolean') return value;
  return typeof value === 'object' && value !== null ? 'detailed' : undefined;
}

const readStrategy = (value: unknown): LaneStrategy | undefined => (isStrategy(value) ? value : undefined);

function isStrategy(value: unknown): value is LaneStrategy {
  if (typeof value !== 'object' || value === null) return false;
  const { shouldCache, getEvictionPriority }: Partial<Record<keyof LaneStrategy, unknown>> = value;
  return typeof shouldCache === 'function' && typeof getEvictionPriority === 'function';
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
