export { fromIoredis } from './ioredis-port.js';
export { fromNodeRedis } from './node-redis-port.js';
export type { RedisArgument, RedisPort } from './redis-port.js';
