export { fromIoredis } from './client/ioredis-client.js';
export { fromNodeRedis } from './client/node-redis-client.js';
export type { RedisArgument, RedisPort } from './client/redis-client.js';
