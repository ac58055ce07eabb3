import { types } from 'node:util';
import type { Clock } from '../clock/clock.js';
import { callDuration, period, size } from '../lanes/option-kinds.js';
import { LANE } from '../lanes/lane-policy.js';
import {
  anything,
  count,
  either,
  flag,
  fromZero,
  kindOf,
  listOf,
  nonEmpty,
  object,
  objectWith,
  oneOf,
  path,
  recordOf,
  text,
} from '../options/kinds.js';
import { defineOptions, type Kinds } from '../options/options-shape.js';
import type { CheckpointOptions, DistributedOptions, LaneCacheOptions, StorageOptions } from './options.js';

const days = either({ ...fromZero, wants: 'a number of days (0 or more)' }, oneOf(false));

const CHECKPOINTS = defineOptions<CheckpointOptions>('The settings', {
  directory: path,
  store: oneOf('local', 'distributed'),
  retentionDays: either(days, recordOf(days)),
  cleanup: either(text, oneOf(false)),
  timeZone: nonEmpty,
  maxStateBytes: size,
  warnStateBytes: size,
});

const STORAGE = defineOptions<StorageOptions>('The settings', {
  minFreeBytes: size,
  deadline: period,
  sweepEvery: either(period, oneOf(false)),
});

const bytes = kindOf('bytes', (value): value is Uint8Array => types.isUint8Array(value) && value.length > 0);

const DISTRIBUTED = defineOptions<DistributedOptions>('The settings', {
  url: nonEmpty,
  client: object,
  prefix: text,
  commandTimeout: callDuration,
  onDisconnect: oneOf('serve', 'bypass'),
  maxStaleness: callDuration,
  trustPersistence: flag,
  logLength: count,
  hmacKey: either(nonEmpty, bytes),
});

/** What it lacks is trouble of its own, when it is used. */
const isLogger = (value: unknown): value is Exclude<LaneCacheOptions['logger'], false | undefined> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Lanes and types are checked by those who read them. */
export const settings: Kinds<LaneCacheOptions> = {
  lane: text,
  directory: either(path, oneOf(false)),
  lanes: recordOf(anything),
  types: listOf(anything, 'classes'),
  version: text,
  checkpoints: either(CHECKPOINTS, oneOf(false)),
  storage: STORAGE,
  distributed: DISTRIBUTED,
  logger: either(kindOf('a LoggerService', isLogger), oneOf(false)),
  clock: objectWith<Clock>('an object with now, monotonic and schedule', 'now', 'monotonic', 'schedule'),
};

const MODULE_OPTION = 'It belongs to the module: give it to forRoot, or beside useFactory.';

export const ofLanes: Readonly<Record<string, string>> = Object.fromEntries(
  LANE.names.map((field) => [field, `It belongs to a lane: lanes: { standard: { ${field}: … } }.`]),
);

export const LANE_CACHE_OPTIONS = defineOptions<LaneCacheOptions>('The settings', settings, {
  elsewhere: {
    ...ofLanes,
    isGlobal: MODULE_OPTION,
    metrics: MODULE_OPTION,
    provideCacheManager: MODULE_OPTION,
    extraProviders: MODULE_OPTION,
  },
});
