import type { CheckpointFilter, CleanupOptions } from '../checkpoints/checkpoint.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { laneName } from '../lanes/lane-policy.js';
import type { LaneName } from '../lanes/policy.js';
import { finite, flag, nonEmpty, required, texts, defineOptions } from '../options/options-shape.js';

interface InLane {
  /** Default: the app's. */
  readonly lane?: LaneName;
}

/** What one POST invalidates. */
export type Invalidation =
  (InLane & { readonly key: string }) | (InLane & { readonly pattern: string }) | { readonly tags: readonly string[] };

const CLEAR_BODY = defineOptions<InLane>('The body', { lane: laneName });

const INVALIDATION_BODY = defineOptions<{
  readonly key?: string;
  readonly tags?: readonly string[];
  readonly pattern?: string;
  readonly lane?: string;
}>('The body', { key: nonEmpty, tags: texts, pattern: nonEmpty, lane: laneName });

const CLEANUP_BODY = defineOptions<Pick<CleanupOptions, 'maxAgeDays' | 'dryRun'>>('The body', {
  maxAgeDays: finite,
  dryRun: flag,
});

const WORKFLOW_BODY = defineOptions<{ readonly workflow: string }>('The body', { workflow: required(nonEmpty) });

/** All of a query is text. */
const PAGE_QUERY = defineOptions<{ readonly [N in Exclude<keyof CheckpointFilter, 'metadata'>]?: string }>(
  'The query',
  {
    workflow: nonEmpty,
    lane: laneName,
    since: nonEmpty,
    until: nonEmpty,
    after: nonEmpty,
    limit: nonEmpty,
  },
);

// Each throws OPTIONS_INVALID naming the field at fault.

export const readClear = (body: unknown): InLane => CLEAR_BODY.read(body ?? {});

export function readInvalidation(body: unknown): Invalidation {
  const { key, tags, pattern, lane } = INVALIDATION_BODY.read(body ?? {});
  const inLane = lane === undefined ? {} : { lane };
  if ([key, tags, pattern].filter((given) => given !== undefined).length !== 1) {
    throw invalid('key', 'Give exactly one of key, tags and pattern.');
  }
  if (key !== undefined) return { ...inLane, key };
  if (pattern !== undefined) return { ...inLane, pattern };
  if (lane !== undefined) throw invalid('lane', 'tags reach all lanes: leave lane out.');
  if (tags === undefined || tags.length === 0) throw invalid('tags', 'tags must be a list of texts.');
  return { tags };
}

export const readWorkflow = (body: unknown): string => WORKFLOW_BODY.read(body ?? {}).workflow;

export const readCleanup = (body: unknown): CleanupOptions => CLEANUP_BODY.read(body ?? {});

/** From the query of a URL. */
export function readPage(query: unknown): CheckpointFilter {
  const { limit, ...filter } = PAGE_QUERY.read({ ...Object(query) });
  return limit === undefined ? filter : { ...filter, limit: Number(limit) };
}

function invalid(field: string, message: string): LaneCacheError {
  return new LaneCacheError('OPTIONS_INVALID', message, { field });
}
