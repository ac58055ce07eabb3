import { Script } from '../client/redis-client.js';

/**
 * Checkpoints on the server. KEYS 1 is the root of all names: they share its hash tag, and so its node.
 *
 * `root:sequence` counts saves; `root:counters` (hash) the versions of each id; `root:ids:<id>` (sorted set) its
 * versions; `root:v:<id>:<version>` (hash) a version: draft, sequence, marks, state. `root:by:<label>` (sorted sets)
 * hold members `<sequence>:<id>:<version>` by order, time, expiry, lane and workflow, and by each label of the metadata
 * in the order of saving and by time. `root:epochs` (hash) counts how often each workflow was invalidated,
 * `root:finished` (set) has the finished ones, `root:lease:<id>` the token that holds the lease on an id, and
 * `root:labelled` the position up to which metadata is indexed.
 */
const NAMES = `
local root = KEYS[1]
local function versionKey(id, version) return root .. ':v:' .. id .. ':' .. version end
local function idKey(id) return root .. ':ids:' .. id end
local function indexes(at, expires, lane, workflow, labels)
  local found = { { 'order', false }, { 'time', at }, { 'lane:' .. lane, false } }
  if expires ~= '' then found[#found + 1] = { 'expiry', expires } end
  if workflow ~= '' then found[#found + 1] = { 'workflow:' .. workflow, false } end
  for label in string.gmatch(labels or '', '%S+') do
    found[#found + 1] = { 'label:' .. label, false }
    found[#found + 1] = { 'label-time:' .. label, at }
  end
  return found
end
local function removeVersion(id, version)
  local key = versionKey(id, version)
  local row = redis.call('HMGET', key, 'sequence', 'at', 'expires', 'lane', 'workflow', 'labels')
  if not row[1] then return false end
  for _, index in ipairs(indexes(row[2], row[3], row[4], row[5], row[6])) do
    redis.call('ZREM', root .. ':by:' .. index[1], row[1] .. ':' .. id .. ':' .. version)
  end
  redis.call('ZREM', idKey(id), version)
  redis.call('DEL', key)
  return true
end
local FIELDS = { 'draft', 'sequence', 'pinned', 'damaged', 'labels' }
local function rowOf(id, version)
  local row = redis.call('HMGET', versionKey(id, version), unpack(FIELDS))
  return row[1] and { version, row[1], row[2], row[3], row[4], row[5] } or false
end
local function isPast(expires, now) return expires and expires ~= '' and tonumber(expires) < tonumber(now) end
local function currentVersion(id, now)
  for _, version in ipairs(redis.call('ZREVRANGE', idKey(id), 0, -1)) do
    if not isPast(redis.call('HGET', versionKey(id, version), 'expires'), now) then return tonumber(version) end
  end
  return 0
end
local function epochOf(workflow) return tonumber(redis.call('HGET', root .. ':epochs', workflow) or 0) end
local function isFinished(workflow) return redis.call('SISMEMBER', root .. ':finished', workflow) == 1 end`;

/**
 * ARGV: id, expected version or '', draft, at, expiry or '', lane, workflow or '', state, labels, epoch or '',
 * lease or '', versions that stay or '', '1' to keep the last of unfinished workflows.
 * -> [1, version, sequence, versions that were removed], or [0, current, cause].
 */
export const SAVE = new Script(`${NAMES}
local id, at, workflow = ARGV[1], ARGV[4], ARGV[7]
local cause = false
if ARGV[10] ~= '' and workflow ~= '' and epochOf(workflow) ~= tonumber(ARGV[10]) then cause = 'workflow'
elseif ARGV[11] ~= '' and redis.call('GET', root .. ':lease:' .. id) ~= ARGV[11] then cause = 'lease'
elseif ARGV[2] ~= '' and currentVersion(id, at) ~= tonumber(ARGV[2]) then cause = 'version' end
if cause then return { 0, currentVersion(id, at), cause } end
local version = redis.call('HINCRBY', root .. ':counters', id, 1)
local number = redis.call('INCR', root .. ':sequence')
local sequence = string.format('%016d', number)
redis.call('HSET', versionKey(id, version), 'draft', ARGV[3], 'sequence', sequence, 'at', at, 'expires', ARGV[5],
  'lane', ARGV[6], 'workflow', workflow, 'pinned', 0, 'damaged', 0, 'labels', ARGV[9], 'state', ARGV[8])
redis.call('ZADD', idKey(id), version, version)
for _, index in ipairs(indexes(at, ARGV[5], ARGV[6], workflow, ARGV[9])) do
  redis.call('ZADD', root .. ':by:' .. index[1], index[2] or number, sequence .. ':' .. id .. ':' .. version)
end
if tonumber(redis.call('GET', root .. ':labelled') or 0) == number - 1 then
  redis.call('SET', root .. ':labelled', number)
end
if workflow ~= '' then redis.call('SREM', root .. ':finished', workflow) end
if ARGV[11] ~= '' then redis.call('DEL', root .. ':lease:' .. id) end
local gone, kept, seen = {}, 0, {}
for _, other in ipairs(ARGV[12] ~= '' and redis.call('ZREVRANGE', idKey(id), 0, -1) or {}) do
  local row = redis.call('HMGET', versionKey(id, other), 'expires', 'pinned', 'damaged', 'workflow')
  if row[1] and #gone < 64 then
    local isExpired, isPinned = isPast(row[1], at), row[2] == '1'
    local isLast = ARGV[13] == '1' and row[4] ~= '' and not seen[row[4]] and not isFinished(row[4])
    local isSurplus = kept >= tonumber(ARGV[12]) and not isLast
    if not isExpired and row[3] ~= '1' then
      seen[row[4]] = true
      if not isPinned then kept = kept + 1 end
    end
    if not isPinned and (isExpired or isSurplus) and removeVersion(id, other) then gone[#gone + 1] = tonumber(other) end
  end
end
return { 1, version, number, gone }`);

/** ARGV: id, workflow or '', now. -> [current version, epoch, 1 if the workflow is finished]. */
export const BEGIN = new Script(`${NAMES}
return { currentVersion(ARGV[1], ARGV[3]), epochOf(ARGV[2]), isFinished(ARGV[2]) and 1 or 0 }`);

/** ARGV: workflow. */
export const FINISH = new Script(`${NAMES}
return redis.call('SADD', root .. ':finished', ARGV[1])`);

/** ARGV: workflow, how many versions at most. -> [1 if none is left, [draft, version] of each that was removed]. */
export const INVALIDATE_WORKFLOW = new Script(`${NAMES}
redis.call('HINCRBY', root .. ':epochs', ARGV[1], 1)
redis.call('SREM', root .. ':finished', ARGV[1])
local index = root .. ':by:workflow:' .. ARGV[1]
local gone = {}
for _, member in ipairs(redis.call('ZRANGE', index, 0, tonumber(ARGV[2]) - 1)) do
  local id, version = string.match(member, '^%d+:(%w+):(%d+)$')
  local draft = redis.call('HGET', versionKey(id, version), 'draft')
  if removeVersion(id, version) then gone[#gone + 1] = { draft, tonumber(version) } end
  redis.call('ZREM', index, member)
end
return { redis.call('ZCARD', index) == 0 and 1 or 0, gone }`);

/** ARGV: action, id, token, ms. -> [1 if the token holds the lease, how many ms another one has left]. */
export const LEASE = new Script(`${NAMES}
local key = root .. ':lease:' .. ARGV[2]
local holder = redis.call('GET', key)
if ARGV[1] == 'release' then
  if holder == ARGV[3] then redis.call('DEL', key) end
  return { 1, 0 }
end
if holder == ARGV[3] or (ARGV[1] == 'take' and not holder) then
  redis.call('SET', key, ARGV[3], 'PX', ARGV[4])
  return { 1, 0 }
end
return { 0, math.max(0, redis.call('PTTL', key)) }`);

/** ARGV: id, version, labels: of a version that an earlier release saved. */
export const LABEL = new Script(`${NAMES}
local row = redis.call('HMGET', versionKey(ARGV[1], ARGV[2]), 'sequence', 'at', 'labels')
if not row[1] or row[3] then return 0 end
redis.call('HSET', versionKey(ARGV[1], ARGV[2]), 'labels', ARGV[3])
for label in string.gmatch(ARGV[3], '%S+') do
  local member = row[1] .. ':' .. ARGV[1] .. ':' .. ARGV[2]
  redis.call('ZADD', root .. ':by:label:' .. label, tonumber(row[1]), member)
  redis.call('ZADD', root .. ':by:label-time:' .. label, row[2], member)
end
return 1`);

/** ARGV: a position up to which all metadata is indexed, or 0. -> [that position, position of the last save]. */
export const LABELLED = new Script(`${NAMES}
local last = tonumber(redis.call('GET', root .. ':sequence') or 0)
local labelled = math.max(tonumber(redis.call('GET', root .. ':labelled') or 0), tonumber(ARGV[1]))
redis.call('SET', root .. ':labelled', labelled)
return { labelled, last }`);

/** ARGV: names of indexes. -> how many members each has. */
export const SIZES = new Script(`${NAMES}
local sizes = {}
for _, index in ipairs(ARGV) do sizes[#sizes + 1] = redis.call('ZCARD', root .. ':by:' .. index) end
return sizes`);

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

/**
 * ARGV: id, version, a workflow that must be finished or '', and versions that must be there. Nothing is removed if it has
 * been pinned since it was looked at, or if one of these no longer holds. -> [1 if it went, newest version before].
 */
export const CLEAN = new Script(`${NAMES}
local newest = tonumber(redis.call('ZREVRANGE', idKey(ARGV[1]), 0, 0)[1] or 0)
if redis.call('HGET', versionKey(ARGV[1], ARGV[2]), 'pinned') == '1' then return { 0, newest } end
if ARGV[3] ~= '' and not isFinished(ARGV[3]) then return { 0, newest } end
for index = 4, #ARGV do
  if redis.call('HGET', versionKey(ARGV[1], ARGV[index]), 'damaged') ~= '0' then return { 0, newest } end
end
return { removeVersion(ARGV[1], ARGV[2]) and 1 or 0, newest }`);

export const CHECKPOINT_SCRIPTS = Object.freeze([
  SAVE,
  BEGIN,
  FINISH,
  INVALIDATE_WORKFLOW,
  LEASE,
  LABEL,
  LABELLED,
  SIZES,
  HISTORY,
  STATE,
  REMOVE,
  MARK,
  SLICE,
  CLEAN,
]);
