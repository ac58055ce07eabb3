import { freezePolicy } from './lane-policy.js';
import { LaneType, type CachePolicy } from './policy.js';

const MB = 1_024 ** 2;
const GB = 1_024 ** 3;

/** The fields that the built-in lanes have in common. */
const COMMON = {
  l4: { enabled: true, coalesce: 'process' },
  isolation: 'frozen',
  eviction: 'lru',
  compareEviction: false,
  graceMs: 0,
  graceBackoffMs: 10_000,
  refreshAhead: null,
  softTimeoutMs: null,
  hardTimeoutMs: null,
  jitterMs: 0,
  include: [],
  exclude: [],
} as const;

const docs: CachePolicy = {
  ...COMMON,
  lane: LaneType.Docs,
  description: 'Documentation and other quick builds: small, short-lived, compressed, this session only.',
  useCases: ['Documentation generation', 'Schema building', 'Markdown processing'],
  l1: { maxEntries: 100, maxBytes: 64 * MB },
  l2: { enabled: true, maxEntries: 1_000, maxBytes: 512 * MB },
  l3: { enabled: false, maxEntries: 10_000, maxBytes: 128 * MB },
  maxEntryBytes: 4 * MB,
  ttlMs: 300_000,
  compression: { enabled: true, minBytes: 1_024, codec: 'brotli' },
  targets: { hitRate: [60, 75], speedUp: [5, 10] },
};

const standard: CachePolicy = {
  ...COMMON,
  lane: LaneType.Standard,
  description: 'Tests, validations and regular workflows: kept across restarts.',
  useCases: ['Test result caching', 'Validation metrics', 'Build outputs'],
  l1: { maxEntries: 500, maxBytes: 256 * MB },
  l2: { enabled: true, maxEntries: 5_000, maxBytes: GB },
  l3: { enabled: true, maxEntries: 50_000, maxBytes: 256 * MB },
  maxEntryBytes: 16 * MB,
  ttlMs: 900_000,
  compression: { enabled: false, minBytes: 1_024, codec: 'brotli' },
  targets: { hitRate: [50, 70], speedUp: [3, 7] },
};

const heavy: CachePolicy = {
  ...COMMON,
  lane: LaneType.Heavy,
  description: 'Complex operations and large results: big, long-lived, kept across restarts.',
  useCases: ['Complex operation results', 'Large dataset caching', 'ML model outputs'],
  l1: { maxEntries: 1_000, maxBytes: 512 * MB },
  l2: { enabled: true, maxEntries: 10_000, maxBytes: 2 * GB },
  l3: { enabled: true, maxEntries: 100_000, maxBytes: 512 * MB },
  maxEntryBytes: 64 * MB,
  ttlMs: 1_800_000,
  compression: { enabled: false, minBytes: 1_024, codec: 'brotli' },
  targets: { hitRate: [40, 60], speedUp: [2, 5] },
};

/** The lanes that every app has, in display order. */
export const BUILT_IN_LANES: readonly CachePolicy[] = Object.freeze([docs, standard, heavy].map(freezePolicy));
