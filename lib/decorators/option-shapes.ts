import { entryRules, reading } from '../cache/call-options.js';
import { callDuration, laneName } from '../lanes/option-kinds.js';
import { either, finite, fn, listOf, nonEmpty, oneOf, required, text, texts, whole } from '../options/kinds.js';
import { defineOptions, type Kinds } from '../options/options-shape.js';
import type { CacheInvalidateOptions } from './cache-invalidate.decorator.js';
import type { CachePutOptions } from './cache-put.decorator.js';
import type { CacheTypeOptions } from './cache-type.decorator.js';
import type { CachedOptions } from './cached.decorator.js';
import type { CheckpointedOptions } from './checkpointed.decorator.js';
import type { EntryRules } from './entry-advice.js';

const RULES = { code: 'DECORATOR_INVALID' } as const;

const key = either(text, fn);
const tags = either(texts, fn);

const results: Kinds<Pick<EntryRules, 'lane' | 'ttl' | 'tags' | 'resultTags' | 'condition' | 'unless'>> = {
  lane: laneName,
  ttl: either(callDuration, fn),
  tags,
  resultTags: fn,
  condition: fn,
  unless: fn,
};

export const CACHED_OPTIONS = defineOptions<CachedOptions>(
  '@Cached',
  { ...entryRules, ...results, key, name: nonEmpty },
  RULES,
);

export const CACHE_PUT_OPTIONS = defineOptions<CachePutOptions>(
  '@CachePut',
  { ...results, version: reading.version, key: required(key) },
  RULES,
);

export const CACHE_INVALIDATE_OPTIONS = defineOptions<CacheInvalidateOptions>(
  '@CacheInvalidate',
  {
    lane: laneName,
    key: either(key, listOf(key, 'texts and functions')),
    tags,
    pattern: key,
    all: oneOf(true),
    when: oneOf('before', 'after', 'both'),
    condition: fn,
  },
  RULES,
);

export const CHECKPOINTED_OPTIONS = defineOptions<CheckpointedOptions>(
  '@Checkpointed',
  {
    id: required(fn),
    lane: laneName,
    ttl: callDuration,
    workflow: either(nonEmpty, fn),
    step: either(either(finite, text), fn),
    maxAge: callDuration,
    onUnavailable: oneOf('throw', 'run'),
  },
  RULES,
);

export const CACHE_TYPE_OPTIONS = defineOptions<CacheTypeOptions>(
  '@CacheType',
  { name: nonEmpty, version: whole, migrate: fn },
  RULES,
);
