import { LaneCacheError } from './errors/lane-cache.error.js';
import type { Duration } from './lanes/duration.js';

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
