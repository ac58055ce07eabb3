import { callDuration } from '../lanes/option-kinds.js';
import {
  coded,
  count,
  either,
  finite,
  flag,
  fromZero,
  kindOf,
  record,
  nonEmpty,
  text,
  whole,
  type Kind,
} from '../options/kinds.js';
import { defineOptions } from '../options/options-shape.js';
import type {
  CheckpointFilter,
  CleanupOptions,
  RestoreCheckpointOptions,
  SaveCheckpointOptions,
} from './checkpoint.js';

const of = <T>(kind: Kind<T>): Kind<T> => coded('CHECKPOINT_INVALID', kind);

export const SAVE_OPTIONS = defineOptions<SaveCheckpointOptions>('cacheCheckpoint', {
  lane: nonEmpty,
  workflow: of(nonEmpty),
  step: of(either(finite, text)),
  metadata: of(record),
  expectedVersion: of(whole),
  ttl: callDuration,
});

export const RESTORE_OPTIONS = defineOptions<RestoreCheckpointOptions>('restoreCheckpoint', {
  version: of(count),
  maxAge: callDuration,
  fallback: flag,
});

export const GET_OPTIONS = defineOptions<Pick<RestoreCheckpointOptions, 'version'>>('getCheckpoint', {
  version: of(count),
});
export const HISTORY_OPTIONS = defineOptions<{ readonly limit?: number }>('history', { limit: of(count) });

/** A valid date, or a text that is one. */
const time = of(
  kindOf('a valid Date or an ISO 8601 string', (value): value is Date | string =>
    value instanceof Date
      ? !Number.isNaN(value.getTime())
      : typeof value === 'string' && !Number.isNaN(Date.parse(value)),
  ),
);

const filter = { workflow: nonEmpty, lane: nonEmpty, since: time, until: time };

export const LIST_FILTER = defineOptions<CheckpointFilter>('A filter of checkpoints', {
  ...filter,
  after: of(text),
  limit: of(count),
});

export const ITERATE_FILTER = defineOptions<Omit<CheckpointFilter, 'after' | 'limit'>>(
  'A filter of checkpoints',
  filter,
  {
    elsewhere: { limit: 'Leave the loop when you have enough.', after: 'It belongs to list().' },
  },
);

export const CLEANUP_OPTIONS = defineOptions<CleanupOptions>('cleanupOldCheckpoints', {
  maxAgeDays: of(fromZero),
  keepLast: of(whole),
  lane: nonEmpty,
  workflow: nonEmpty,
  dryRun: flag,
});
