import type { LoggerService } from '@nestjs/common' with { 'resolution-mode': 'import' };
import { types } from 'node:util';
import type { Clock } from '../clock/clock.js';
import { withDeclaration } from '../decorators/cache-type.decorator.js';
import type { RetentionOptions } from '../checkpoints/retention.js';
import type { TypeEntry } from '../entries/codec/class-kinds.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { LANE, callDuration, laneName, period, size, valueSize } from '../lanes/lane-policy.js';
import type { LaneInputs, LaneName } from '../lanes/policy.js';
import type { Duration, Size } from '../lanes/units.js';
import {
  anything,
  coded,
  count,
  either,
  flag,
  filePath,
  fromZero,
  inWords,
  kindOf,
  listOf,
  nonEmpty,
  object,
  objectWith,
  oneOf,
  recordOf,
  text,
  whole,
  defineOptions,
  type Kinds,
} from '../options/options-shape.js';

/** Where checkpoints are kept, and for how long. */
export interface CheckpointOptions {
  /** Default `<directory>/checkpoints`. */
  readonly directory?: string;
  /** Where checkpoints are kept: in the directory, or on the server of `distributed`. Default 'local'. */
  readonly store?: 'local' | 'distributed';
  /** Which versions stay. The scheduled cleanup goes by it, and so do calls and commands, field by field. */
  readonly retention?: RetentionOptions;
  /** A cron expression. Default '0 3 * * *', daily at 03:00 local time; false = off. */
  readonly cleanup?: string | false;
  /** Of `cleanup`. Default: the machine's. */
  readonly timeZone?: string;
  /** Default 64 MB. At most 1 GB. */
  readonly maxStateBytes?: Size;
  /** Default 1 MB. */
  readonly warnStateBytes?: Size;
}

/** How the disk is used. */
export interface StorageOptions {
  /** Below it, writes stop and the app goes on. Default: the smaller of 256 MB and 5 % of the volume. */
  readonly minFreeBytes?: Size;
  /** How long the disk may take to answer. Default '5s'. */
  readonly deadline?: Duration;
  /** Default '60s'. false = only by `sweep()`. */
  readonly sweepEvery?: Duration | false;
}

/** Settings of one app. */
export interface LaneCacheOptions {
  /** The lane of the plain `CacheManager`. Default 'standard'. */
  readonly lane?: LaneName;
  /** Resolved at boot. Default: the environment's LANE_CACHE_DIR, else `<cwd>/.lane-cache`. false = memory only. */
  readonly directory?: string | false;
  /** Lanes of the app, and changes of the built-in ones. */
  readonly lanes?: LaneInputs;
  /** Classes whose instances come back as instances. */
  readonly types?: readonly TypeEntry[];
  /** Of the app's data: part of every stored record; another one is a miss. Default ''. */
  readonly version?: string;
  /** false = the app keeps no checkpoints. */
  readonly checkpoints?: CheckpointOptions | false;
  /** How the disk is used. */
  readonly storage?: StorageOptions;
  /** What the instances of the app share. Default: nothing. */
  readonly distributed?: DistributedOptions;
  /** Default: Nest's Logger under Nest, none without. */
  readonly logger?: LoggerService | false;
  /** Also logs each event of each key, at debug. It makes hits slower. Default false. */
  readonly debug?: boolean;
  /** For tests. Default: the clock of the machine. */
  readonly clock?: Clock;
}

/** The tier and the log that the instances of an app share. */
export interface DistributedOptions {
  /** `redis://` or `rediss://`, with user and password if need be. Needs `redis` or `ioredis` to be installed. */
  readonly url?: string;
  /** A client or a cluster of `redis` or `ioredis`, or a RedisPort of 'nestjs-lane-cache/redis'. Exactly one of url and client. */
  readonly client?: object;
  /** Separates apps on one server. Default 'lane-cache'. */
  readonly prefix?: string;
  /** How long the server may take to answer. Default '250ms'. */
  readonly commandTimeout?: Duration;
  /** Whether memory and disk go on serving while the server cannot be reached. Default 'serve'. */
  readonly onDisconnect?: 'serve' | 'bypass';
  /** For how long they go on at most. Default '30s'. */
  readonly maxStaleness?: Duration;
  /**
   * Default false: a server that restarted or failed over may have lost acknowledged invalidations, so everything older
   * is void. true trusts its persistence.
   */
  readonly trustPersistence?: boolean;
  /** How many invalidations the server keeps for instances that were away. Default 10,000. */
  readonly logLength?: number;
  /** Entries that were not written with it are not read. Default: none. */
  readonly hmacKey?: string | Uint8Array;
}

const days = either(inWords('a number of days (0 or more)', fromZero), oneOf(false));

const RETENTION = defineOptions<RetentionOptions>('The settings', {
  maxAgeDays: either(days, recordOf(days)),
  keepLast: whole,
  keepUnfinished: flag,
  keepVersions: whole,
});

const CHECKPOINTS = defineOptions<CheckpointOptions>(
  'The settings',
  {
    directory: filePath,
    store: oneOf('local', 'distributed'),
    retention: RETENTION,
    cleanup: either(text, oneOf(false)),
    timeZone: nonEmpty,
    maxStateBytes: valueSize,
    warnStateBytes: size,
  },
  { elsewhere: { retentionDays: 'Write retention: { maxAgeDays: … }.' } },
);

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
export const appKinds: Kinds<LaneCacheOptions> = {
  lane: laneName,
  directory: either(filePath, oneOf(false)),
  lanes: coded('LANE_INVALID', inWords('an object of lanes by name', recordOf(anything))),
  types: listOf(anything, 'classes'),
  version: text,
  checkpoints: either(CHECKPOINTS, oneOf(false)),
  storage: STORAGE,
  distributed: DISTRIBUTED,
  logger: either(kindOf('a LoggerService', isLogger), oneOf(false)),
  debug: flag,
  clock: objectWith<Clock>('an object with now, monotonic and schedule', 'now', 'monotonic', 'schedule'),
};

/** Options beside `useFactory`: they must be known before the factory runs. */
const OF_MODULE = ['isGlobal', 'metrics', 'provideCacheManager', 'extraProviders'].map(
  (name) => [name, 'It belongs to the module: give it to forRoot, or beside useFactory.'] as const,
);

export const ofLanes: Readonly<Record<string, string>> = Object.fromEntries(
  LANE.names.map((field) => [field, `It belongs to a lane: lanes: { standard: { ${field}: … } }.`]),
);

const LANE_CACHE_OPTIONS = defineOptions<LaneCacheOptions>('The settings', appKinds, {
  elsewhere: { ...ofLanes, ...Object.fromEntries(OF_MODULE) },
});

/**
 * Settings as options: a lane's name alone is a setting too. The declarations of @CacheType on listed classes are added.
 * Lanes and types are checked where they are read. Throws OPTIONS_INVALID with the name of the option.
 */
export function readOptions(settings?: LaneName | LaneCacheOptions): LaneCacheOptions {
  const options = LANE_CACHE_OPTIONS.read(typeof settings === 'string' ? { lane: settings } : settings);
  const { distributed, checkpoints, types: listed } = options;
  if (distributed !== undefined && (distributed.url === undefined) === (distributed.client === undefined)) {
    throw new LaneCacheError('OPTIONS_INVALID', 'The settings: distributed needs exactly one of url and client.', {
      field: 'distributed',
    });
  }
  if (distributed === undefined && checkpoints !== false && checkpoints?.store === 'distributed') {
    throw new LaneCacheError(
      'OPTIONS_INVALID',
      "checkpoints.store is 'distributed', and there is no server to keep them: give 'distributed' a url or a client.",
      { field: 'checkpoints.store' },
    );
  }
  return listed === undefined ? options : { ...options, types: listed.map(withDeclaration) };
}
