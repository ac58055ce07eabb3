import { ENTRY_ORDERS, type EntryOrder, type ListedTier } from '../cache/entry-search.js';
import type { CheckpointFilter, CleanupOptions, ForkCheckpointOptions } from '../checkpoints/checkpoint.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { laneName } from '../lanes/lane-policy.js';
import type { LaneName } from '../lanes/policy.js';
import type { EntryQuery, InvalidationTarget } from '../operations/operations.js';
import {
  count,
  either,
  finite,
  flag,
  inWords,
  kindOf,
  nonEmpty,
  oneOf,
  required,
  texts,
  defineOptions,
} from '../options/options-shape.js';

interface InLane {
  /** Default: the app's. */
  readonly lane?: LaneName;
}

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

/** A number, or its digits: all of a query is text. */
const version = inWords(
  'a whole number of 1 or more',
  either(
    count,
    kindOf('digits', (given): given is string => typeof given === 'string' && /^[1-9]\d{0,14}$/.test(given)),
  ),
);

const SEARCH_QUERY = defineOptions<{
  readonly pattern?: string;
  readonly lane?: string;
  readonly tag?: string;
  readonly tier?: ListedTier;
  readonly after?: string;
  readonly limit?: number | string;
}>('The query', {
  pattern: nonEmpty,
  lane: laneName,
  tag: nonEmpty,
  tier: oneOf('l1', 'l2', 'l3'),
  after: nonEmpty,
  limit: version,
});

const TOP_QUERY = defineOptions<{ readonly by?: EntryOrder; readonly lane?: string }>('The query', {
  by: oneOf(...ENTRY_ORDERS),
  lane: laneName,
});

const KEY_INPUT = defineOptions<{ readonly key: string; readonly lane?: string }>('The request', {
  key: required(nonEmpty),
  lane: laneName,
});

const VERSION_INPUT = defineOptions<{ readonly id: string; readonly version?: number | string }>('The request', {
  id: required(nonEmpty),
  version,
});

const HISTORY_QUERY = defineOptions<{ readonly id?: string; readonly workflow?: string }>('The query', {
  id: nonEmpty,
  workflow: nonEmpty,
});

const FORK_BODY = defineOptions<ForkCheckpointOptions & { readonly from: string; readonly to: string }>('The body', {
  from: required(nonEmpty),
  to: required(nonEmpty),
  version: count,
  workflow: nonEmpty,
  lane: laneName,
});

// Each throws OPTIONS_INVALID naming the field at fault.

export const readClear = (body: unknown): InLane => CLEAR_BODY.read(body ?? {});

export function readInvalidation(body: unknown): InvalidationTarget {
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

export function readSearch(query: unknown): EntryQuery {
  const { limit, ...rest } = SEARCH_QUERY.read({ ...Object(query) });
  return limit === undefined ? rest : { ...rest, limit: Number(limit) };
}

export function readTop(query: unknown): { readonly by: EntryOrder; readonly lane?: string } {
  const { by = 'saved', ...rest } = TOP_QUERY.read({ ...Object(query) });
  return { by, ...rest };
}

export const readKey = (input: unknown): { readonly key: string; readonly lane?: string } =>
  KEY_INPUT.read({ ...Object(input) });

export function readVersion(input: unknown): { readonly id: string; readonly version?: number } {
  const { id, version: given } = VERSION_INPUT.read({ ...Object(input) });
  return given === undefined ? { id } : { id, version: Number(given) };
}

export function readHistory(query: unknown): string | { readonly workflow: string } {
  const { id, workflow } = HISTORY_QUERY.read({ ...Object(query) });
  if (id !== undefined && workflow === undefined) return id;
  if (workflow !== undefined && id === undefined) return { workflow };
  throw invalid('id', 'Give exactly one of id and workflow.');
}

export const readFork = (body: unknown): ForkCheckpointOptions & { readonly from: string; readonly to: string } =>
  FORK_BODY.read(body ?? {});

function invalid(field: string, message: string): LaneCacheError {
  return new LaneCacheError('OPTIONS_INVALID', message, { field });
}
