import type { LoggerService } from '@nestjs/common';
import { inspect } from 'node:util';
import type { Clock } from '../clock/clock.js';
import { withDeclaration } from '../decorators/cache-type.decorator.js';
import type { TypeEntry } from '../entries/codec/class-kinds.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { nearestName } from '../errors/nearest-name.js';
import { DURATION_FORM, readDuration, type Duration, readSize, SIZE_FORM, type Size } from '../lanes/units.js';
import type { LaneName, LanePolicyInput } from '../lanes/policy.js';

/** Where checkpoints are kept, and for how long. */
export interface CheckpointOptions {
  /** Default `<directory>/checkpoints`. */
  readonly directory?: string;
  readonly store?: 'local' | 'distributed';
  /** Default 7; by lane if given as a record. false = keep for ever. */
  readonly retentionDays?: number | false | Readonly<Record<string, number | false>>;
  /** A cron expression. Default '0 3 * * *', daily at 03:00 local time; false = off. */
  readonly cleanup?: string | false;
  /** Of `cleanup`. Default: the machine's. */
  readonly timeZone?: string;
  /** Default 64 MB. */
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
  readonly lanes?: Readonly<Record<string, LanePolicyInput>>;
  /** Classes whose instances come back as instances. */
  readonly types?: readonly TypeEntry[];
  /** Of the app's data: part of every stored record; another one is a miss. Default ''. */
  readonly version?: string;
  readonly checkpoints?: CheckpointOptions | false;
  readonly storage?: StorageOptions;
  /** What the instances of the app share. Default: nothing. */
  readonly distributed?: DistributedOptions;
  /** Default: Nest's Logger under Nest, none without. */
  readonly logger?: LoggerService | false;
  readonly clock?: Clock;
}

// prettier-ignore
const OPTIONS = [
  'lane', 'directory', 'lanes', 'types', 'version', 'checkpoints', 'storage', 'distributed', 'logger', 'clock',
];
const STORAGE = ['minFreeBytes', 'deadline', 'sweepEvery'];
const CHECKPOINTS = ['directory', 'store', 'retentionDays', 'cleanup', 'timeZone', 'maxStateBytes', 'warnStateBytes'];
const STORES = ['local', 'distributed'];
const CLOCK = ['now', 'monotonic', 'schedule'] as const;

/** Options beside `useFactory`: they must be known before the factory runs. */
export const MODULE_OPTIONS = ['isGlobal', 'metrics', 'provideCacheManager', 'extraProviders'];

/**
 * Settings as options: a lane's name alone is a setting too. The declarations of @CacheType on listed classes are added.
 * Lanes and types are checked where they are read. Throws OPTIONS_INVALID with the name of the option.
 */
export function readOptions(settings: LaneName | LaneCacheOptions = {}): LaneCacheOptions {
  const options: LaneCacheOptions = typeof settings === 'string' ? { lane: settings } : settings;
  checkNames(options, OPTIONS, '');
  checkValues(options);
  if (options.storage !== undefined) checkStorage(options.storage);
  if (options.checkpoints !== undefined && options.checkpoints !== false) checkCheckpoints(options.checkpoints);
  return options.types === undefined ? options : { ...options, types: options.types.map(withDeclaration) };
}

function checkNames(given: unknown, known: readonly string[], path: string): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw invalid(path.slice(0, -1), `${path === '' ? 'The options' : path.slice(0, -1)} must be an object.`);
  }
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    throw invalid(`${path}${name}`, `There is no option '${path}${name}'. ${hintFor(name, known)}`);
  }
}

function hintFor(name: string, known: readonly string[]): string {
  if (MODULE_OPTIONS.includes(name)) return 'It belongs to the module: give it to forRoot, or beside useFactory.';
  const nearest = nearestName(name, known);
  return nearest === undefined ? `Known options: ${known.join(', ')}.` : `Did you mean '${nearest}'?`;
}

function checkStorage(storage: StorageOptions): void {
  checkNames(storage, STORAGE, 'storage.');
  checkSize('storage.minFreeBytes', storage.minFreeBytes);
  checkSpan('storage.deadline', storage.deadline, '');
  if (storage.sweepEvery !== false) checkSpan('storage.sweepEvery', storage.sweepEvery, ', or false for never');
}

function checkCheckpoints(checkpoints: CheckpointOptions): void {
  checkNames(checkpoints, CHECKPOINTS, 'checkpoints.');
  const { directory, store, retentionDays } = checkpoints;
  checkSize('checkpoints.maxStateBytes', checkpoints.maxStateBytes);
  checkSize('checkpoints.warnStateBytes', checkpoints.warnStateBytes);
  if (directory !== undefined) checkPath('checkpoints.directory', directory, '');
  if (store !== undefined && !STORES.includes(store)) {
    throw invalid('checkpoints.store', `checkpoints.store must be one of ${STORES.join(', ')}.`);
  }
  if (typeof retentionDays !== 'object' || retentionDays === null)
    return checkDays('checkpoints.retentionDays', retentionDays);
  for (const [lane, days] of Object.entries(retentionDays)) checkDays(`checkpoints.retentionDays.${lane}`, days);
}

/** Nothing below 0: it would be over before it was saved. */
function checkDays(field: string, days: unknown): void {
  if (days === undefined || days === false || (typeof days === 'number' && days >= 0)) return;
  throw invalid(field, `${field} must be a number of days (0 or more), or false for ever, not ${inspect(days)}.`);
}

function checkPath(field: string, path: unknown, orElse: string): void {
  if (typeof path === 'string' && path !== '' && !path.includes('\0')) return;
  throw invalid(field, `${field} must be a path${orElse}.`);
}

function checkSize(field: string, size: Size | undefined): void {
  if (size === undefined || readSize(size) !== undefined) return;
  throw invalid(field, `${field} must be ${SIZE_FORM}, not '${size}'.`);
}

/** Of no time at all, nothing would ever come to its end, or nothing else to its turn. */
function checkSpan(field: string, span: Duration | undefined, orElse: string): void {
  if (span === undefined || (readDuration(span) ?? 0) > 0) return;
  throw invalid(field, `${field} must be ${DURATION_FORM}, above 0${orElse}, not '${span}'.`);
}

function checkValues({ lane, directory, version, types, logger, clock }: LaneCacheOptions): void {
  if (lane !== undefined && typeof lane !== 'string') throw invalid('lane', 'lane must be the name of a lane.');
  if (directory !== undefined && directory !== false) checkPath('directory', directory, ', or false for memory only');
  if (version !== undefined && typeof version !== 'string') throw invalid('version', 'version must be a text.');
  if (types !== undefined && !Array.isArray(types)) throw invalid('types', 'types must be a list of classes.');
  if (logger !== undefined && logger !== false && typeof logger !== 'object') {
    throw invalid('logger', 'logger must be a LoggerService, or false for none.');
  }
  if (clock !== undefined && CLOCK.some((method) => typeof clock[method] !== 'function')) {
    throw invalid('clock', `clock must be an object with ${CLOCK.join(', ')}.`);
  }
}

function invalid(field: string, message: string): LaneCacheError {
  return new LaneCacheError('OPTIONS_INVALID', message, { field });
}

/** The tier and the log that the instances of an app share. */
export interface DistributedOptions {
  /** `redis://` or `rediss://`, with user and password if need be. Needs `redis` or `ioredis` to be installed. */
  readonly url?: string;
  /** A client of `redis` or `ioredis`, or a RedisPort of 'nestjs-lane-cache/redis'. Exactly one of url and client. */
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

// prettier-ignore
const KNOWN = [
  'url', 'client', 'prefix', 'commandTimeout', 'onDisconnect', 'maxStaleness', 'trustPersistence', 'logLength', 'hmacKey',
];

/** Throws OPTIONS_INVALID naming the option. Durations are checked where they are read. */
export function checkDistributed(given: DistributedOptions): void {
  if (typeof given !== 'object' || given === null)
    throw invalidDistributed('', 'must be an object with a url or a client');
  for (const name of Object.keys(given))
    if (!KNOWN.includes(name)) throw invalidDistributed(`.${name}`, 'is no option');
  const { url, client, onDisconnect, logLength, trustPersistence, hmacKey } = given;
  if ((url === undefined) === (client === undefined))
    throw invalidDistributed('', 'needs exactly one of url and client');
  if (client !== undefined && (typeof client !== 'object' || client === null))
    throw invalidDistributed('.client', 'is no client');
  if (onDisconnect !== undefined && onDisconnect !== 'serve' && onDisconnect !== 'bypass') {
    throw invalidDistributed('.onDisconnect', "must be 'serve' or 'bypass'");
  }
  if (logLength !== undefined && !(Number.isSafeInteger(logLength) && logLength > 0)) {
    throw invalidDistributed('.logLength', 'must be a whole number above 0');
  }
  if (trustPersistence !== undefined && typeof trustPersistence !== 'boolean') {
    throw invalidDistributed('.trustPersistence', 'must be true or false');
  }
  if (hmacKey !== undefined && hmacKey.length === 0) throw invalidDistributed('.hmacKey', 'must not be empty');
}

function invalidDistributed(field: string, problem: string): LaneCacheError {
  return new LaneCacheError('OPTIONS_INVALID', `distributed${field} ${problem}.`, { field: `distributed${field}` });
}
