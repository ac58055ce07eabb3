import { LaneCacheError } from '../../errors/lane-cache.error.js';
import { fromIoredis, IoredisCluster, isIoredis, isIoredisCluster } from './ioredis-client.js';
import {
  fromNodeRedis,
  isNodeRedis,
  isNodeRedisCluster,
  isNodeRedisSentinel,
  NodeRedisCluster,
  NodeRedisSentinel,
} from './node-redis-client.js';
import { isRedisPort, type RedisClusterPort, type RedisPort, type RedisTemplate } from './redis-client.js';

/** Where the server is: exactly one of the two. */
export interface RedisAddress {
  readonly url?: string | undefined;
  readonly client?: object | undefined;
}

/** How long opening a connection may take. */
const CONNECT_WITHIN_MS = 2_000;

/**
 * The client from which connections are duplicated. Throws OPTIONS_INVALID for an invalid url or client, and when a url is
 * given but neither `redis` nor `ioredis` is installed.
 */
export async function templateClient({ url, client }: RedisAddress): Promise<RedisTemplate> {
  if (client !== undefined) return clientOf(client);
  return fromUrl(checkedUrl(url));
}

/** Opens the connections of a client of a whole cluster. Undefined for another client. */
export function clusterOf(client: object | undefined): RedisClusterPort | undefined {
  if (client === undefined) return undefined;
  if (isNodeRedisCluster(client)) return new NodeRedisCluster(client);
  return isIoredisCluster(client) ? new IoredisCluster(client) : undefined;
}

function clientOf(client: object): RedisTemplate {
  if (isRedisPort(client)) return client;
  if (isNodeRedisSentinel(client)) return new NodeRedisSentinel(client);
  if ('getSentinelNode' in client) {
    throw invalid(
      'client',
      'is a client of `redis` 5 for Sentinel, which gives no connections. Use `redis` 6 or `ioredis`',
    );
  }
  if (isNodeRedis(client)) return fromNodeRedis(client);
  if (isIoredis(client)) return fromIoredis(client);
  throw invalid(
    'client',
    'is neither a client of `redis` or `ioredis`, of one server, of Sentinel or of a cluster, nor a RedisPort',
  );
}

function checkedUrl(url: string | undefined): string {
  if (url !== undefined && URL.canParse(url) && /^rediss?:$/.test(new URL(url).protocol)) return url;
  throw invalid('url', "must look like 'redis://host:6379' or 'rediss://user:password@host:6379/0'");
}

async function fromUrl(url: string): Promise<RedisPort> {
  const nodeRedis = await installed(() => import('redis'));
  if (nodeRedis !== undefined) {
    const socket = { connectTimeout: CONNECT_WITHIN_MS, reconnectStrategy: false } as const;
    const client = nodeRedis.createClient({ url, socket, disableOfflineQueue: true });
    return fromNodeRedis(client);
  }
  const ioredis = await installed(() => import('ioredis'));
  if (ioredis !== undefined) {
    return fromIoredis(new ioredis.Redis(url, { lazyConnect: true, connectTimeout: CONNECT_WITHIN_MS }));
  }
  throw invalid('url', "needs a client: install 'redis' (or 'ioredis'), or pass a 'client' of your own");
}

async function installed<T>(load: () => Promise<T>): Promise<T | undefined> {
  try {
    return await load();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

function invalid(field: string, problem: string): LaneCacheError {
  return new LaneCacheError('OPTIONS_INVALID', `distributed.${field} ${problem}.`, { field: `distributed.${field}` });
}
