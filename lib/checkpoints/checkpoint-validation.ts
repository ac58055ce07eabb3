import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { Clock } from '../clock/clock.js';
import type { ValueCodec } from '../entries/codec/value-codec.js';
import { UnknownLaneError } from '../errors/cache.errors.js';
import { CheckpointTooLargeError } from '../errors/checkpoint.errors.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { callDuration, laneName } from '../lanes/lane-policy.js';
import { toMilliseconds, type Duration } from '../lanes/units.js';
import {
  type Kind,
  coded,
  count,
  defined,
  either,
  finite,
  flag,
  fromZero,
  inWords,
  isBag,
  kindOf,
  nonEmpty,
  oneOf,
  record,
  required,
  text,
  whole,
  defineOptions,
} from '../options/options-shape.js';
import type {
  CheckpointFilter,
  CleanupOptions,
  ForkCheckpointOptions,
  RestoreCheckpointOptions,
  SaveCheckpointOptions,
  StepOptions,
} from './checkpoint.js';
import type { CheckpointDraft, CleanupRule, ListPosition, ListQuery } from './checkpoint-store.js';

/** Of ids, workflows and steps, in UTF-8. */
const MAX_ID_BYTES = 1_024;
const DAY_MS = 86_400_000;
const DEFAULT_PAGE = 100;
const MAX_PAGE = 1_000;

const of = <T>(kind: Kind<T>): Kind<T> => coded('CHECKPOINT_INVALID', kind);

export const SAVE_OPTIONS = defineOptions<SaveCheckpointOptions>('cacheCheckpoint', {
  lane: laneName,
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

export const HISTORY_OF = defineOptions<{ readonly workflow: string }>('history', { workflow: required(of(nonEmpty)) });

/** A valid date, or a text that is one. */
const moment = of(
  kindOf('a valid Date or an ISO 8601 string', (value): value is Date | string =>
    value instanceof Date
      ? !Number.isNaN(value.getTime())
      : typeof value === 'string' && !Number.isNaN(Date.parse(value)),
  ),
);

/** Names and values of metadata that a listing looks for. */
const scalars = of(
  kindOf(
    'an object of 1 to 32 names with texts, numbers or booleans',
    (value): value is Readonly<Record<string, string | number | boolean>> => {
      if (!isBag(value)) return false;
      const values = Object.values(value);
      return values.length > 0 && values.length <= MAX_NAMES && values.every((one) => isScalar(one));
    },
  ),
);

const filterKinds = { workflow: nonEmpty, lane: laneName, since: moment, until: moment, metadata: scalars };

export const LIST_FILTER = defineOptions<CheckpointFilter>('A filter of checkpoints', {
  ...filterKinds,
  after: of(text),
  limit: of(count),
});

export const ITERATE_FILTER = defineOptions<Omit<CheckpointFilter, 'after' | 'limit'>>(
  'A filter of checkpoints',
  filterKinds,
  {
    elsewhere: { limit: 'Leave the loop when you have enough.', after: 'It belongs to list().' },
  },
);

const CLEANUP_OPTIONS = defineOptions<CleanupOptions>('cleanupOldCheckpoints', {
  maxAgeDays: of(either(inWords('a number of days (0 or more)', fromZero), oneOf(false))),
  keepLast: of(whole),
  keepUnfinished: flag,
  lane: laneName,
  workflow: nonEmpty,
  dryRun: flag,
});

export const FORK_OPTIONS = defineOptions<ForkCheckpointOptions>('fork', {
  version: of(count),
  workflow: of(nonEmpty),
  lane: laneName,
});

export const STEP_OPTIONS = defineOptions<StepOptions>('runStep', {
  lane: laneName,
  workflow: of(nonEmpty),
  step: of(either(finite, text)),
  ttl: callDuration,
  maxAge: callDuration,
  exclusive: flag,
  onUnavailable: oneOf('throw', 'run'),
});

/** Of the names in metadata that are indexed, and of those in a filter. */
const MAX_NAMES = 32;
const MAX_METADATA_BYTES = 64 * 1024;
const DEFAULT_MAX_STATE_BYTES = 64 * 1024 ** 2;

/** What a save is checked against. */
export interface DraftSettings {
  readonly codec: ValueCodec;
  readonly clock: Clock;
  /** The names of the app's lanes. */
  readonly lanes: readonly string[];
  readonly defaultLane: string;
  /** Default 64 MB. */
  readonly maxStateBytes?: number;
  /** States of a lane from so many bytes on are compressed. Undefined: the lane compresses nothing. */
  readonly compressFrom?: (lane: string) => number | undefined;
  /** The process, as versions name it. */
  readonly savedBy?: string;
}

/** Rejects what a step cannot be saved with, before it runs. */
export function requireStep(id: string, run: unknown, options: StepOptions, lanes: readonly string[]): void {
  const { lane, workflow, step, ttl } = options;
  requireLabels(id, { workflow, step, ttl });
  if (lane !== undefined && !lanes.includes(lane)) throw new UnknownLaneError(lane, lanes);
  if (typeof run === 'function') return;
  throw new LaneCacheError('COMPUTE_INVALID', `The step '${id}' must be a function, not ${shown(run)}.`, { key: id });
}

/** Returns the ttl in milliseconds, if there is one. */
function requireLabels(
  id: string,
  { workflow, step, ttl }: { [K in 'workflow' | 'step' | 'ttl']: SaveCheckpointOptions[K] | undefined },
): number | undefined {
  requireName(id, 'id');
  if (workflow !== undefined) requireName(workflow, 'workflow');
  if (typeof step === 'string' && Buffer.byteLength(step) > MAX_ID_BYTES)
    throw invalid('step', `takes more than ${MAX_ID_BYTES} bytes`);
  return ttl === undefined ? undefined : requireLife(ttl, id);
}

/** Checks and encodes what a caller saves. */
export function toDraft(
  settings: DraftSettings,
  id: string,
  state: unknown,
  options: SaveCheckpointOptions,
): { readonly draft: CheckpointDraft; readonly bytes: Uint8Array } {
  const { clock, codec, defaultLane, lanes, savedBy, maxStateBytes = DEFAULT_MAX_STATE_BYTES } = settings;
  const { lane = defaultLane, workflow, step, metadata, ttl } = options;
  const life = requireLabels(id, { workflow, step, ttl });
  if (!lanes.includes(lane)) throw new UnknownLaneError(lane, lanes);
  const encodedMetadata = metadata === undefined ? undefined : encodeMetadata(codec, id, metadata);
  const labels = metadata === undefined ? [] : labelsOf(requireFewNames(metadata));
  const bytes = encode(codec, id, 'state', state);
  if (bytes.length > maxStateBytes) throw new CheckpointTooLargeError(id, bytes.length, maxStateBytes);
  const savedAt = clock.now();
  const draft: CheckpointDraft = defined({
    id,
    lane,
    workflow,
    step,
    metadata: encodedMetadata,
    savedAt,
    expiresAt: life === undefined ? undefined : savedAt + life,
    sizeBytes: bytes.length,
    checksum: checksumOf(bytes),
    labels,
    savedBy,
  });
  return { draft, bytes };
}

const isScalar = (value: unknown): value is string | number | boolean =>
  typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value));

function requireFewNames(metadata: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const indexed = Object.values(metadata).filter((value) => isScalar(value)).length;
  if (indexed <= MAX_NAMES) return metadata;
  throw invalid(
    'metadata',
    `has ${indexed} names with texts, numbers or booleans; ${MAX_NAMES} is the most, because each is indexed. Put the others into an object of their own`,
  );
}

/** One hash per text, number and boolean at the top level of metadata: of its name, its type and its value. */
export function labelsOf(metadata: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.entries(metadata)
    .filter(([, value]) => isScalar(value))
    .map(([name, value]) => labelOf(name, value));
}

/** Undefined where this app cannot rebuild it: one item must not make a listing fail. */
export function decodeMetadata(codec: ValueCodec, encoded: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const metadata = codec.decode(Buffer.from(encoded, 'base64'));
    return isBag(metadata) ? metadata : undefined;
  } catch {
    return undefined;
  }
}

/** The labels of a version whose metadata was saved with it. */
export const labelsOfRecord = (codec: ValueCodec, { metadata }: CheckpointDraft): readonly string[] =>
  metadata === undefined ? [] : labelsOf(decodeMetadata(codec, metadata) ?? {});

/** 0 and -0 are the same, as they are for `===`. */
const labelOf = (name: string, value: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify([name, typeof value, value === 0 ? 0 : value]))
    .digest('base64url')
    .slice(0, LABEL_LENGTH);

const LABEL_LENGTH = 22;

function encodeMetadata(codec: ValueCodec, id: string, metadata: unknown): string {
  const bytes = encode(codec, id, 'metadata', metadata);
  if (bytes.length > MAX_METADATA_BYTES) {
    throw invalid('metadata', `takes ${bytes.length} bytes; ${MAX_METADATA_BYTES} is the most. Put it into the state`);
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

function encode(codec: ValueCodec, id: string, field: 'state' | 'metadata', value: unknown): Uint8Array {
  const encoded = codec.encodeChecked(value);
  // A restore returns undefined when there is no checkpoint.
  if (encoded.storable && value !== undefined) return encoded.bytes;
  const reason = encoded.storable ? 'undefined would look like no checkpoint' : encoded.reason;
  throw new LaneCacheError(
    'CHECKPOINT_UNSTORABLE',
    `The ${field} of checkpoint '${id}' cannot be stored faithfully: ${reason}. Save plain data, or list the class under 'types'.`,
    { key: id, field },
  );
}

export const checksumOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function requireLife(ttl: Duration, id: string): number {
  const ms = toMilliseconds(ttl, { key: id });
  if (ms > 0) return ms;
  throw new LaneCacheError('TTL_INVALID', `The ttl of checkpoint '${id}' is 0: it would never be restored.`, {
    key: id,
    field: 'ttl',
  });
}

/** Ids and workflows: any text, as it is a key and never a path. */
export function requireName(name: unknown, field: 'id' | 'workflow' | 'from' | 'to'): void {
  if (typeof name !== 'string' || name === '') throw invalid(field, `must be a non-empty string, not ${shown(name)}`);
  const bytes = Buffer.byteLength(name);
  if (bytes > MAX_ID_BYTES)
    throw invalid(field, `takes ${bytes} bytes; ${MAX_ID_BYTES} is the most. Hash what is longer`);
}

export function requireVersion(version: unknown): void {
  if (typeof version === 'number' && Number.isSafeInteger(version) && version >= 1) return;
  throw invalid('version', `must be a whole number of at least 1, not ${shown(version)}`);
}

export function toQuery(filter: CheckpointFilter): ListQuery {
  const { lane, workflow, since, until, metadata, after, limit = DEFAULT_PAGE } = filter;
  if (limit > MAX_PAGE) throw invalid('limit', `is at most ${MAX_PAGE}, not ${limit}. Use iterate() for all`);
  const byTime = since !== undefined || until !== undefined;
  return defined({
    lane,
    workflow,
    since: since === undefined ? undefined : toTime(since),
    until: until === undefined ? undefined : toTime(until),
    labels: metadata && labelsOf(metadata),
    after: after === undefined ? undefined : toPosition(after, byTime ? 2 : 1),
    limit,
  });
}

/** A position in a listing as the opaque text of `next`. */
export const fromPosition = ({ time, sequence }: ListPosition): string =>
  Buffer.from(JSON.stringify(time === undefined ? [sequence] : [sequence, time])).toString('base64url');

function toPosition(after: string, length: number): ListPosition {
  try {
    const numbers: unknown = JSON.parse(Buffer.from(after, 'base64url').toString());
    if (Array.isArray(numbers) && numbers.length === length && numbers.every(Number.isFinite)) {
      const [sequence, time] = numbers.map(Number);
      if (sequence !== undefined) return time === undefined ? { sequence } : { sequence, time };
    }
  } catch {}
  throw invalid('after', "must be the 'next' of a page of the same filter");
}

const toTime = (at: Date | string): number => (typeof at === 'string' ? Date.parse(at) : at.getTime());

/** Rejects anything else: taken for the defaults, it would remove checkpoints. */
export function toCleanup(options: number | CleanupOptions): CleanupOptions {
  if (typeof options === 'number') return CLEANUP_OPTIONS.read({ maxAgeDays: options });
  if (typeof options === 'object' && options !== null) return CLEANUP_OPTIONS.read(options);
  throw invalid('options', `must be a number of days or an object, not ${shown(options)}`);
}

/** Rejects anything else before something is removed. */
export function requireListener(onProgress: unknown): void {
  if (onProgress === undefined || typeof onProgress === 'function') return;
  const problem = `'onProgress' must be a function, not ${shown(onProgress)}`;
  throw new LaneCacheError('OPTIONS_INVALID', `cleanupOldCheckpoints: ${problem}.`, { field: 'onProgress' });
}

/** The rule of one pass of a cleanup. `days`: Infinity leaves only what has expired. */
export function toRule(options: CleanupOptions, days: number, now: number): CleanupRule {
  const { keepLast = 0, keepUnfinished = false, lane, workflow, dryRun = false } = options;
  const savedBefore = now - days * DAY_MS;
  const mode = dryRun ? 'dry-run' : 'remove';
  return defined({ now, savedBefore, keepLast, keepUnfinished, mode, lane, workflow });
}

const invalid = (field: string, problem: string): LaneCacheError =>
  new LaneCacheError('CHECKPOINT_INVALID', `The ${field} of a checkpoint ${problem}.`, { field });

/** Cuts long texts: an id may have a kilobyte. */
const shown = (value: unknown): string =>
  typeof value === 'string' ? `'${value.slice(0, 64)}'` : typeof value === 'number' ? String(value) : typeof value;
