import { Script } from './script.js';

/** KEYS: lease. ARGV: token, ms. -> 'TAKEN', or how many ms another one's has left. What has no end is nobody's. */
export const TAKE = new Script(`
local left = redis.call('PTTL', KEYS[1])
if left >= 0 then return left end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 'TAKEN'`);

/** KEYS: lease. ARGV: token, ms. -> 1 if it is still ours. */
export const EXTEND = new Script(`
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`);

/** KEYS: lease, stream of those given back. ARGV: token, how many are remembered. */
export const GIVE_BACK = new Script(`
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'lease', KEYS[1])
return 1`);
