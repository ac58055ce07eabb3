import { Script } from '../client/redis-client.js';

/**
 * The scripts of the shared log. Each is one step of the server, so that a record, its sequence number and what it
 * changes in positions and entries are never seen apart. KEYS 1-5 are meta, stream, keys, tags, patterns.
 *
 * Patterns are never matched here: a script would hold up the whole server for as long as the matching takes.
 */

/** What is missing, of another type or of another generation has lost its history. */
const IS_WHOLE = `
local function whole(gen)
  for i = 3, 5 do
    local mark = redis.pcall('ZSCORE', KEYS[i], '!' .. gen)
    if not mark or type(mark) == 'table' then return false end
  end
  return true
end`;

/** The patterns that came after the one of that sequence number, as [seq, lane and pattern, ...]. */
const PATTERNS_AFTER = `
local function patternsAfter(seq)
  return redis.call('ZRANGEBYSCORE', KEYS[5], '(' .. seq, '(inf', 'WITHSCORES')
end`;

/** Position before which something that came later may have named what has these tags, or all of the lane. */
const NEWEST_ABOUT = `
local floorsOf = {}
local function floors(lane)
  if not floorsOf[lane] then
    local found = redis.call('HMGET', KEYS[1], 'clear:' .. lane, 'clear:', 'patternFloor', 'tagFloor')
    local all = math.max(tonumber(found[1] or 0), tonumber(found[2] or 0), tonumber(found[3] or 0))
    floorsOf[lane] = { all, math.max(all, tonumber(found[4] or 0)) }
  end
  return floorsOf[lane]
end
local function newestAbout(lane, tags)
  if #tags == 0 then return floors(lane)[1] end
  local at = floors(lane)[2]
  local from = 1
  while from <= #tags do
    local tag
    tag, from = struct.unpack('>I2c0', tags, from)
    at = math.max(at, tonumber(redis.call('ZSCORE', KEYS[4], tag) or 0))
  end
  return at
end`;

/** The same, also of the key itself. */
const NEWEST_ABOUT_KEY = `${NEWEST_ABOUT}
local function newestAboutKey(lane, member, tags)
  local key = tonumber(redis.call('ZSCORE', KEYS[3], member) or 0)
  local floor = tonumber(redis.call('HGET', KEYS[1], 'keyFloor') or 0)
  return math.max(key, floor, newestAbout(lane, tags))
end`;

const NOW = `
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end`;

export const ENTRY_HEAD_BYTES = 20;
/** No entry lives longer (epoch ms): that is the year 3084. */
const LATEST_END = 2 ** 45;
/** A fraction of so many steps fits behind each time up to then. */
const CHECK_STEPS = 256;
const CHECK_PRIME = 127;

/**
 * An entry: birth, end of its life by the server's clock, length of its tags; its tags; its record. The end is in whole
 * milliseconds. Its fraction is a check of birth and end: the sum of their bytes, each times its place, so that each single
 * bit changes it. It is odd, so that no flipped bit of the exponent makes the end a whole number. Release 0.1.0 may run beside
 * this one. It ignores the fraction, and writes none.
 */
const LAY_UNTIL = `
local function layUntil(key, birth, goneAt, life, tags, record)
  local numbers, sum = struct.pack('>ddI4', birth, goneAt, 0), 0
  for at = 1, 16 do sum = sum + at * string.byte(numbers, at) end
  local head = struct.pack('>ddI4', birth, goneAt + (sum % ${CHECK_PRIME} * 2 + 1) / ${CHECK_STEPS}, #tags)
  redis.call('SET', key, head .. tags .. record, 'PX', life)
end`;
const LAY = `${NOW}${LAY_UNTIL}
local function lay(key, birth, life, tags, record)
  layUntil(key, birth, now() + life, life, tags, record)
end`;

const CHECKED = Buffer.alloc(16);

/** Birth and end of life of an entry. Undefined if they are not as they were written. */
export function readHead(entry: Buffer): { readonly birth: number; readonly goneAt: number } | undefined {
  const birth = entry.readDoubleBE(0);
  const checkedEnd = entry.readDoubleBE(8);
  const goneAt = Math.floor(checkedEnd);
  if (!Number.isSafeInteger(birth) || birth < 0 || !(goneAt >= 0 && goneAt < LATEST_END)) return undefined;
  const check = (checkedEnd - goneAt) * CHECK_STEPS;
  return check === 0 || check === checkOf(birth, goneAt) ? { birth, goneAt } : undefined;
}

function checkOf(birth: number, goneAt: number): number {
  CHECKED.writeDoubleBE(birth, 0);
  CHECKED.writeDoubleBE(goneAt, 8);
  let sum = 0;
  for (let at = 0; at < CHECKED.length; at++) sum += (at + 1) * (CHECKED[at] ?? 0);
  return (sum % CHECK_PRIME) * 2 + 1;
}

/** How old the last such write may be. It bounds the writes of all instances together. */
const BEAT_EVERY_MS = 250;

/**
 * Handshake and heartbeat: looks whether history is whole, and begins a new generation if it is not.
 *
 * It writes now and then. A replica refuses that, and so does a master that must have replicas and has lost them: neither is
 * taken for the server that the others follow. HDEL comes first, because a full server refuses only the first write.
 * ARGV: generation to begin if need be, 1 if the server's persistence is trusted, pattern known, then the generation and
 * the sequence number that the caller has seen.
 * -> [generation, seq, first id in the stream, patterns after the known one, time of the server]
 */
export const HANDSHAKE = new Script(`${IS_WHOLE}${PATTERNS_AFTER}${NOW}
local info = redis.call('INFO', 'server')
local run = string.match(info, 'run_id:(%w+)') or ''
local meta = redis.pcall('HMGET', KEYS[1], 'gen', 'run', 'seq', 'beat')
local gen, beat, t = meta[1], tonumber(meta[4] or 0), now()
local lost = meta.err or not gen or not meta[3] or not whole(gen) or (ARGV[2] ~= '1' and meta[2] ~= run)
  or (gen == ARGV[4] and tonumber(meta[3]) < tonumber(ARGV[5]))
local known = gen == ARGV[4] and ARGV[3] or '0'
if lost then
  gen = ARGV[1]
  redis.call('DEL', unpack(KEYS))
  redis.call('HSET', KEYS[1], 'gen', gen, 'run', run, 'seq', 0)
  for i = 3, 5 do redis.call('ZADD', KEYS[i], '+inf', '!' .. gen) end
  known = '0'
elseif meta[2] ~= run or t < beat or t - beat > ${BEAT_EVERY_MS} then
  redis.call('HDEL', KEYS[1], 'beat')
  redis.call('HSET', KEYS[1], 'run', run, 'beat', t)
end
local first = redis.pcall('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
if first.err then
  redis.call('DEL', KEYS[2])
  first = {}
end
local id = first[1] and string.match(first[1][1], '^%d+') or '0'
return { gen, redis.call('HGET', KEYS[1], 'seq'), id, patternsAfter(known), t }`);

/**
 * The append is the first write of a script. A full server refuses the first write if it takes memory, and takes all that
 * follow one. So a record is taken all the same, behind a write that takes none: the others must follow it. It is bounded.
 */
const RECORD = `
if redis.call('HGET', KEYS[1], 'gen') ~= ARGV[1] then return 'GENERATION' end
local kind, lane, member = ARGV[2], ARGV[3], ARGV[4]
local function bound(key, limit, floor)
  if redis.call('ZCARD', key) <= limit then return end
  local leaving = redis.call('ZRANGE', key, 0, math.floor(limit / 2), 'WITHSCORES')
  redis.call('HSET', KEYS[1], floor, leaving[#leaving])
  redis.call('ZREMRANGEBYRANK', key, 0, math.floor(limit / 2))
end
local isFull = false
local function append()
  local seq = redis.pcall('HINCRBY', KEYS[1], 'seq', 1)
  if type(seq) == 'table' then
    isFull = true
    redis.call('HDEL', KEYS[1], 'room')
    seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
  end
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[6], seq .. '-0', 'record', ARGV[5])
  if kind == 'all' then
    redis.call('HSET', KEYS[1], 'clear:' .. lane, seq)
  elseif kind == 'pattern' then
    redis.call('ZADD', KEYS[5], seq, member)
    bound(KEYS[5], tonumber(ARGV[8]), 'patternFloor')
  elseif kind == 'tag' or (kind == 'expire' and lane == '') then
    redis.call('ZADD', KEYS[4], seq, member)
    bound(KEYS[4], tonumber(ARGV[7]), 'tagFloor')
  else
    redis.call('ZADD', KEYS[3], seq, member)
    bound(KEYS[3], tonumber(ARGV[7]), 'keyFloor')
  end
  return seq
end`;

/**
 * Appends one record. KEYS 6, if there is one, is the entry that it removes.
 * ARGV: generation, kind, lane ('' = all), member of the subject, the record as subscribers read it, length of the log,
 * bound of positions, bound of patterns.
 * -> [seq, how many entries were removed], or 'GENERATION'
 */
export const APPEND = new Script(`${RECORD}
local seq, gone = append(), 0
if KEYS[6] then gone = redis.call('DEL', KEYS[6]) end
return { seq, gone }`);

/**
 * Appends the record of a set, and writes its entry, KEYS 6.
 * ARGV: as for a record alone, then life in ms, tags, record, newest record about the key that the caller knows of,
 * pattern known. A late set does not write its value, because a newer record may have named it. Where a key of the log is
 * gone, or the server is full, no set does.
 * -> [seq, how many entries were removed, 1 if the server is full], or 'GENERATION'
 */
export const APPEND_SET = new Script(`${RECORD}${IS_WHOLE}${NEWEST_ABOUT_KEY}${PATTERNS_AFTER}${LAY}
local brings = whole(ARGV[1]) and newestAboutKey(lane, member, ARGV[10]) <= tonumber(ARGV[12])
  and #patternsAfter(ARGV[13]) == 0
local seq = append()
local gone = redis.call('DEL', KEYS[6])
if brings and not isFull then lay(KEYS[6], seq, ARGV[9], ARGV[10], ARGV[11]) end
return { seq, gone, isFull and 1 or 0 }`);

/**
 * Appends the record of a set whose entry lies on another node.
 * ARGV: as for a record alone, then tags, newest record about the key that the caller knows of, pattern known.
 * -> [seq, 1 if the entry may be written], or 'GENERATION'
 */
export const APPEND_JUDGED = new Script(`${RECORD}${IS_WHOLE}${NEWEST_ABOUT_KEY}${PATTERNS_AFTER}
local brings = whole(ARGV[1]) and newestAboutKey(lane, member, ARGV[9]) <= tonumber(ARGV[10]) and #patternsAfter(ARGV[11]) == 0
return { append(), brings and 1 or 0 }`);

/**
 * Judges entries that lie on other nodes. There a record of a key does not remove the entry in its own step, so the key is
 * judged as well.
 * ARGV: generation, pattern known, then of each entry: lane, member, tags, birth.
 * -> 'GENERATION', or [patterns after the known one, then 1 for each entry that counts and 0 for the others]
 */
export const JUDGE_SPREAD = new Script(`${IS_WHOLE}${NEWEST_ABOUT_KEY}${PATTERNS_AFTER}
if redis.call('HGET', KEYS[1], 'gen') ~= ARGV[1] or not whole(ARGV[1]) then return 'GENERATION' end
local found = { patternsAfter(ARGV[2]) }
for at = 3, #ARGV, 4 do
  local isSound, newest = pcall(newestAboutKey, ARGV[at], ARGV[at + 1], ARGV[at + 2])
  found[#found + 1] = isSound and newest <= tonumber(ARGV[at + 3]) and 1 or 0
end
return found`);

/**
 * Writes an entry on its own node, unless a younger one is there.
 * ARGV: birth, end of its life by the clock of the log's node (ms), life in ms, tags, record. -> 1 if it was written
 */
export const PUT = new Script(`${LAY_UNTIL}
local old = redis.pcall('GETRANGE', KEYS[1], 0, 7)
if type(old) == 'string' and #old == 8 and struct.unpack('>d', old) > tonumber(ARGV[1]) then return 0 end
layUntil(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5])
return 1`);

/** Removes an entry on its own node, if its birth is below ARGV 1. -> 1 if it was removed */
export const REMOVE_OLDER = new Script(`
local old = redis.pcall('GETRANGE', KEYS[1], 0, 7)
if type(old) == 'string' and #old == 8 and struct.unpack('>d', old) >= tonumber(ARGV[1]) then return 0 end
return redis.call('DEL', KEYS[1])`);

/**
 * Judges entries, KEYS 6 and on, for an instance that has not followed every record after their birth.
 * ARGV: generation, pattern known, then the lane of each entry. A record of a key removes the entry in the same step, so
 * only the other records are looked up here.
 * -> 'GENERATION', or [patterns after the known one, then each entry as it was written, or nothing]
 */
export const JUDGE = new Script(`${IS_WHOLE}${NEWEST_ABOUT}${PATTERNS_AFTER}
if redis.call('HGET', KEYS[1], 'gen') ~= ARGV[1] or not whole(ARGV[1]) then return 'GENERATION' end
local found = { patternsAfter(ARGV[2]) }
local entries = redis.call('MGET', unpack(KEYS, 6))
for i = 1, #KEYS - 5 do
  local entry, answer = entries[i], false
  if entry and #entry >= ${ENTRY_HEAD_BYTES} then
    local birth, _, size = struct.unpack('>ddI4', entry)
    local isSound, at = pcall(newestAbout, ARGV[2 + i], string.sub(entry, ${ENTRY_HEAD_BYTES + 1}, ${ENTRY_HEAD_BYTES} + size))
    if isSound and at <= birth then answer = entry end
  end
  found[1 + i] = answer
end
return found`);

/**
 * Writes an entry, KEYS 6, unless a record has named it since its birth.
 * ARGV: generation, birth, pattern known, lane, member, life in ms, tags, record.
 * -> 'WRITTEN', 'GENERATION', 'OUTDATED', or the patterns that must be judged first
 */
export const WRITE = new Script(`${IS_WHOLE}${NEWEST_ABOUT_KEY}${PATTERNS_AFTER}${LAY}
if redis.call('HGET', KEYS[1], 'gen') ~= ARGV[1] or not whole(ARGV[1]) then return 'GENERATION' end
local birth = tonumber(ARGV[2])
if newestAboutKey(ARGV[4], ARGV[5], ARGV[7]) > birth then return 'OUTDATED' end
local unknown = patternsAfter(ARGV[3])
if #unknown > 0 then return unknown end
lay(KEYS[6], birth, ARGV[6], ARGV[7], ARGV[8])
return 'WRITTEN'`);
