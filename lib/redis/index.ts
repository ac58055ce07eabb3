/**
 * For apps that hand in their own client of Redis or Valkey.
 *
 * @module nestjs-lane-cache/redis
 */
export { fromIoredis } from './client/ioredis-client.js';
export { fromNodeRedis } from './client/node-redis-client.js';
export type { RedisArgument, RedisPort } from './client/redis-client.js';
