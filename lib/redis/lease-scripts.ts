import { Script } from './script.js';

/** KEYS: lease. ARGV: token, ms. -> 'TAKEN', or how many ms another one's has left. */
export const TAKE = new Script(`
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 'TAKEN' end
return redis.call('PTTL', KEYS[1])`);

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
