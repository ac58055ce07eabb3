import { callDuration, freshness } from '../lanes/option-kinds.js';
import type { Isolation } from '../lanes/policy.js';
import { anything, coded, finite, flag, kindOf, oneOf, signal, type Kind } from '../options/kinds.js';
import { defineOptions, type Kinds } from '../options/options-shape.js';
import type { EntryOptions, ReadOptions, StandardSchema, WriteOptions } from './call-options.js';

const { grace, jitter, ...whenComputing } = freshness(callDuration);

/** Tags are checked with those that a computation sets. */
const writing: Kinds<WriteOptions> = { ttl: callDuration, tags: coded('TAG_INVALID', anything), grace, jitter };

const schema = kindOf('a Standard Schema: an object with `~standard.validate`', (value): value is StandardSchema => {
  const { validate }: { readonly validate?: unknown } = (value as Partial<StandardSchema> | null)?.['~standard'] ?? {};
  return typeof validate === 'function';
});

const isolation: Kind<Isolation> = {
  ...oneOf('frozen', 'clone', 'shared'),
  wants: "'frozen' or 'clone'; 'shared' is for lanes that are declared so",
};

export const reading: Kinds<ReadOptions> = { isolation, schema, version: finite };

/** Those of one entry that decorators take as they are. */
export const entryRules = { ...reading, ...freshness(callDuration), forceFresh: flag };

export const WRITE_OPTIONS = defineOptions<WriteOptions>('Options of a call', writing);
export const READ_OPTIONS = defineOptions<ReadOptions>('Options of a call', reading);
export const ENTRY_OPTIONS = defineOptions<EntryOptions>('Options of a call', {
  ...writing,
  ...whenComputing,
  ...reading,
  forceFresh: flag,
  signal,
});

export const CLEAR_OPTIONS = defineOptions<{ readonly lanes?: 'all' }>(
  'clearAll',
  { lanes: oneOf('all') },
  { elsewhere: { lane: "Clear another lane by forLane('name').clearAll()." } },
);
