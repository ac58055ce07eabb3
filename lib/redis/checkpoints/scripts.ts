import { Script } from '../client/redis-client.js';

/**
 * Checkpoints on the server. KEYS 1 is the root of all names: they share its hash tag, and so its node.
 *
 * `root:sequence` counts saves; `root:counters` (hash) the versions of each id; `root:ids:<id>` (sorted set) its
 * versions; `root:v:<id>:<version>` (hash) a version: draft, sequence, marks, state. `root:by:<label>` (sorted sets)
 * hold members `<sequence>:<id>:<version>` by order, time, expiry, lane and workflow.
 */
const NAMES = `
local root = KEYS[1]
local function versionKey(id, version) return root .. ':v:' .. id .. ':' .. version end
local function idKey(id) return root .. ':ids:' .. id end
local function indexes(at, expires, lane, workflow)
  local found = { { 'order', false }, { 'time', at }, { 'lane:' .. lane, false } }
  if expires ~= '' then found[#found + 1] = { 'expiry', expires } end
  if workflow ~= '' then found[#found + 1] = { 'workflow:' .. workflow, false } end
  return found
end
local function removeVersion(id, version)
  local key = versionKey(id, version)
  local row = redis.call('HMGET', key, 'sequence', 'at', 'expires', 'lane', 'workflow')
  if not row[1] then return false end
  for _, index in ipairs(indexes(row[2], row[3], row[4], row[5])) do
    redis.call('ZREM', root .. ':by:' .. index[1], row[1] .. ':' .. id .. ':' .. version)
  end
  redis.call('ZREM', idKey(id), version)
  redis.call('DEL', key)
  return true
end
local FIELDS = { 'draft', 'sequence', 'pinned', 'damaged' }
local function rowOf(id, version)
  local row = redis.call('HMGET', versionKey(id, version), unpack(FIELDS))
  return row[1] and { version, row[1], row[2], row[3], row[4] } or false
end`;

/** ARGV: id, expected version or '', draft, at, expiry or '', lane, workflow or '', state. -> [1, version, sequence] or [0, current] */
export const SAVE = new Script(`${NAMES}
local id = ARGV[1]
local newest = tonumber(redis.call('ZREVRANGE', idKey(id), 0, 0)[1] or 0)
if ARGV[2] ~= '' and tonumber(ARGV[2]) ~= newest then return { 0, newest } end
local version = redis.call('HINCRBY', root .. ':counters', id, 1)
local sequence = string.format('%016d', redis.call('INCR', root .. ':sequence'))
redis.call('HSET', versionKey(id, version), 'draft', ARGV[3], 'sequence', sequence, 'at', ARGV[4], 'expires', ARGV[5],
  'lane', ARGV[6], 'workflow', ARGV[7], 'pinned', 0, 'damaged', 0, 'state', ARGV[8])
redis.call('ZADD', idKey(id), version, version)
for _, index in ipairs(indexes(ARGV[4], ARGV[5], ARGV[6], ARGV[7])) do
  redis.call('ZADD', root .. ':by:' .. index[1], index[2] or tonumber(sequence), sequence .. ':' .. id .. ':' .. version)
end
return { 1, version, tonumber(sequence) }`);

/** ARGV: id, how many at most. -> rows, newest first. */
export const HISTORY = new Script(`${NAMES}
local rows = {}
for _, version in ipairs(redis.call('ZREVRANGE', idKey(ARGV[1]), 0, tonumber(ARGV[2]) - 1)) do
  rows[#rows + 1] = rowOf(ARGV[1], version) or { version }
end
return rows`);

/** ARGV: id, version. -> [row, state], or nothing. */
export const STATE = new Script(`${NAMES}
local row = rowOf(ARGV[1], ARGV[2])
if not row then return false end
return { row, redis.call('HGET', versionKey(ARGV[1], ARGV[2]), 'state') }`);

/** ARGV: id, version or '' for all. -> versions that went. */
export const REMOVE = new Script(`${NAMES}
local gone = {}
local versions = ARGV[2] ~= '' and { ARGV[2] } or redis.call('ZRANGE', idKey(ARGV[1]), 0, -1)
for _, version in ipairs(versions) do
  if removeVersion(ARGV[1], version) then gone[#gone + 1] = tonumber(version) end
end
return gone`);

/** ARGV: id, field, value, version, '' for the newest or '*' for all. -> how many were marked. */
export const MARK = new Script(`${NAMES}
local versions = { ARGV[4] }
if ARGV[4] == '' then versions = redis.call('ZREVRANGE', idKey(ARGV[1]), 0, 0) end
if ARGV[4] == '*' then versions = redis.call('ZRANGE', idKey(ARGV[1]), 0, -1) end
local marked = 0
for _, version in ipairs(versions) do
  if redis.call('EXISTS', versionKey(ARGV[1], version)) == 1 then
    redis.call('HSET', versionKey(ARGV[1], version), ARGV[2], ARGV[3])
    marked = marked + 1
  end
end
return marked`);

/** ARGV: index, 'up' or 'down', from, to (scores), offset, limit. -> [member, row] each. */
export const SLICE = new Script(`${NAMES}
local command = ARGV[2] == 'up' and 'ZRANGEBYSCORE' or 'ZREVRANGEBYSCORE'
local rows = {}
for _, member in ipairs(redis.call(command, root .. ':by:' .. ARGV[1], ARGV[3], ARGV[4], 'LIMIT', ARGV[5], ARGV[6])) do
  local id, version = string.match(member, '^%d+:(%w+):(%d+)$')
  rows[#rows + 1] = { id, rowOf(id, version) or { version } }
end
return rows`);

/** ARGV: id, version. Unless it has been pinned since it was looked at. -> [1 if it went, newest version before]. */
export const CLEAN = new Script(`${NAMES}
local newest = tonumber(redis.call('ZREVRANGE', idKey(ARGV[1]), 0, 0)[1] or 0)
if redis.call('HGET', versionKey(ARGV[1], ARGV[2]), 'pinned') == '1' then return { 0, newest } end
return { removeVersion(ARGV[1], ARGV[2]) and 1 or 0, newest }`);

export const CHECKPOINT_SCRIPTS = Object.freeze([SAVE, HISTORY, STATE, REMOVE, MARK, SLICE, CLEAN]);
