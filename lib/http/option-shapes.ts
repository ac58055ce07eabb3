import type { CheckpointFilter, CleanupOptions } from '../checkpoints/checkpoint.js';
import { callDuration, laneName } from '../lanes/option-kinds.js';
import { either, finite, flag, fn, nonEmpty, names, text, texts } from '../options/kinds.js';
import { defineOptions } from '../options/options-shape.js';
import type { HealthOptions } from './lane-cache.health.js';
import type { CacheResponseOptions } from './response-key.js';

export const CACHE_RESPONSE_OPTIONS = defineOptions<CacheResponseOptions>(
  '@CacheResponse',
  { lane: laneName, ttl: callDuration, tags: either(names, fn), varyBy: fn, varyHeaders: names },
  { code: 'DECORATOR_INVALID' },
);

export const HEALTH_OPTIONS = defineOptions<HealthOptions>('isHealthy', { lanes: names, strict: flag });

export const CLEAR_BODY = defineOptions<{ readonly lane?: string }>('The body', { lane: laneName });

export const INVALIDATION_BODY = defineOptions<{
  readonly key?: string;
  readonly tags?: readonly string[];
  readonly pattern?: string;
  readonly lane?: string;
}>('The body', { key: nonEmpty, tags: texts, pattern: nonEmpty, lane: laneName });

export const CLEANUP_BODY = defineOptions<Pick<CleanupOptions, 'maxAgeDays' | 'dryRun'>>('The body', {
  maxAgeDays: finite,
  dryRun: flag,
});

/** A query is all texts. */
export const PAGE_QUERY = defineOptions<{ readonly [N in keyof CheckpointFilter]?: string }>('The query', {
  workflow: nonEmpty,
  lane: laneName,
  since: nonEmpty,
  until: nonEmpty,
  after: nonEmpty,
  limit: text,
});
