import { Script } from '../client/redis-client.js';

/**
 * Checkpoints on the server. KEYS 1 is the root of all names: they share its hash tag, and so its node.
 *
 * - `root:sequence` counts saves.
 * - `root:counters` (hash): the versions of each id
 * - `root:ids:<id>` (sorted set): its versions
 * - `root:v:<id>:<version>` (hash): a version, with its draft, sequence, marks and state
 * - `root:by:<label>` (sorted sets): members `<sequence>:<id>:<version>` by order, time, expiry, lane and workflow, and
 *   by each label of the metadata in the order of saving and by time
 * - `root:epochs` (hash): how often each workflow was invalidated
 * - `root:removed` (hash): the position up to which the versions of a workflow are gone while they are being removed
 * - `root:finished` (set): the finished workflows
 * - `root:lease:<id>`: the token that holds the lease on an id
 * - `root:labelled`: the position up to which metadata is indexed
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
local function isInvalidated(workflow, sequence)
  if not workflow or workflow == '' then return false end
  return tonumber(sequence) <= tonumber(redis.call('HGET', root .. ':removed', workflow) or 0)
end
local FIELDS = { 'draft', 'sequence', 'pinned', 'damaged', 'labels', 'workflow' }
local function rowOf(id, version)
  local row = redis.call('HMGET', versionKey(id, version), unpack(FIELDS))
  if not row[1] or isInvalidated(row[6], row[2]) then return false end
  return { version, row[1], row[2], row[3], row[4], row[5] }
end
local function isBefore(expires, now) return expires and expires ~= '' and tonumber(expires) < tonumber(now) end
local function isPast(id, version, now)
  local row = redis.call('HMGET', versionKey(id, version), 'expires', 'workflow', 'sequence')
  return isBefore(row[1], now) or isInvalidated(row[2], row[3])
end
local function currentVersion(id, now)
  for _, version in ipairs(redis.call('ZREVRANGE', idKey(id), 0, -1)) do
    if not isPast(id, version, now) then return tonumber(version) end
  end
  return 0
end
local function epochOf(workflow) return tonumber(redis.call('HGET', root .. ':epochs', workflow) or 0) end
local function isFinished(workflow) return redis.call('SISMEMBER', root .. ':finished', workflow) == 1 end`;

/**
 * ARGV: id, expected version or '', draft, at, expiry or '', lane, workflow or '', state, labels, epoch or '',
 * lease or '', versions that stay or '', '1' to keep the last of unfinished workflows. Then, for a step around
 * it: its id or '', and the lease that it must hold.
 * -> [1, version, sequence, versions that were removed], or [0, current, cause].
 */
export const SAVE = new Script(`${NAMES}
local id, at, workflow = ARGV[1], ARGV[4], ARGV[7]
local cause = false
if ARGV[10] ~= '' and workflow ~= '' and epochOf(workflow) ~= tonumber(ARGV[10]) then cause = 'workflow'
elseif ARGV[11] ~= '' and redis.call('GET', root .. ':lease:' .. id) ~= ARGV[11] then cause = 'lease'
elseif ARGV[14] ~= '' and redis.call('GET', root .. ':lease:' .. ARGV[14]) ~= ARGV[15] then cause = 'lease'
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
if ARGV[12] == '' then return { 1, version, number, {} } end
local function versions(command, from, to, limit) return redis.call(command, idKey(id), from, to, 'LIMIT', 0, limit) end
local function isWhole(row) return row[1] and not isBefore(row[1], at) and row[3] ~= '1' end
local function rowFor(other)
  return redis.call('HMGET', versionKey(id, other), 'expires', 'pinned', 'damaged', 'workflow')
end
local function restorableAt(place)
  local kept, from = 0, '+inf'
  repeat
    local found = versions('ZREVRANGEBYSCORE', from, '-inf', 64)
    for _, other in ipairs(found) do
      local row = rowFor(other)
      if isWhole(row) and row[2] ~= '1' then kept = kept + 1 end
      if kept == place then return tonumber(other) end
      from = '(' .. other
    end
  until #found < 64
  return 0
end
local function isLast(other, workflow)
  if ARGV[13] ~= '1' or workflow == '' or isFinished(workflow) then return false end
  local from = '+inf'
  repeat
    local found = versions('ZREVRANGEBYSCORE', from, '(' .. other, 64)
    for _, newer in ipairs(found) do
      local row = rowFor(newer)
      if isWhole(row) and row[4] == workflow then return false end
      from = '(' .. newer
    end
  until #found < 64
  return true
end
local gone = {}
local function removeDue(found)
  for _, other in ipairs(found) do
    local row = rowFor(other)
    local mayGo = row[1] and row[2] ~= '1' and (isBefore(row[1], at) or not isLast(other, row[4]))
    if mayGo and #gone < 64 and removeVersion(id, other) then gone[#gone + 1] = tonumber(other) end
  end
end
local surplusBelow = '(' .. restorableAt(tonumber(ARGV[12]))
removeDue(versions('ZRANGEBYSCORE', '-inf', surplusBelow, 256))
if #gone == 0 then removeDue(versions('ZREVRANGEBYSCORE', surplusBelow, '-inf', 256)) end
return { 1, version, number, gone }`);

/** ARGV: id, workflow or '', now. -> [current version, epoch, 1 if the workflow is finished]. */
export const BEGIN = new Script(`${NAMES}
return { currentVersion(ARGV[1], ARGV[3]), epochOf(ARGV[2]), isFinished(ARGV[2]) and 1 or 0 }`);

/** ARGV: workflow. */
export const FINISH = new Script(`${NAMES}
return redis.call('SADD', root .. ':finished', ARGV[1])`);

/**
 * ARGV: workflow, how many versions at most, the position up to which they go, or '' for all so far in a new epoch.
 * -> [that position if some are left, [draft, version] of each that was removed].
 */
export const INVALIDATE_WORKFLOW = new Script(`${NAMES}
local workflow, upTo = ARGV[1], ARGV[3]
if upTo == '' then
  upTo = redis.call('GET', root .. ':sequence') or '0'
  redis.call('HINCRBY', root .. ':epochs', workflow, 1)
  redis.call('HSET', root .. ':removed', workflow, upTo)
  redis.call('SREM', root .. ':finished', workflow)
end
local index = root .. ':by:workflow:' .. workflow
local gone = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', upTo, 'LIMIT', 0, ARGV[2])) do
  local id, version = string.match(member, '^%d+:(%w+):(%d+)$')
  local draft = redis.call('HGET', versionKey(id, version), 'draft')
  if removeVersion(id, version) then gone[#gone + 1] = { draft, tonumber(version) } end
  redis.call('ZREM', index, member)
end
if redis.call('ZCOUNT', index, '-inf', upTo) > 0 then return { upTo, gone } end
if redis.call('HGET', root .. ':removed', workflow) == upTo then redis.call('HDEL', root .. ':removed', workflow) end
return { '', gone }`);

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
  local row = rowOf(ARGV[1], version)
  if row then rows[#rows + 1] = row
  elseif not isPast(ARGV[1], version, 0) then rows[#rows + 1] = { version } end
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

/**
 * ARGV: index, 'up' or 'down', from (score), the sequence behind which it begins at that score, or '' for all of it, to
 * (score), limit. -> [score, sequence, row] each. It begins at a position and not at an offset, so that it neither repeats nor
 * leaves out what is there all the time, though others come and go.
 */
export const SLICE = new Script(`${NAMES}
local index, isUp = root .. ':by:' .. ARGV[1], ARGV[2] == 'up'
local from, behind, to, limit = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local found
if behind == '' then
  local command = isUp and 'ZRANGEBYSCORE' or 'ZREVRANGEBYSCORE'
  found = redis.call(command, index, from, to, 'WITHSCORES', 'LIMIT', 0, limit)
else
  -- A mark beside the member, which may have gone, has the rank of the next one.
  local mark = string.format('%016d', tonumber(behind)) .. (isUp and ';' or '')
  redis.call('ZADD', index, from, mark)
  local rank = redis.call(isUp and 'ZRANK' or 'ZREVRANK', index, mark)
  redis.call('ZREM', index, mark)
  found = redis.call(isUp and 'ZRANGE' or 'ZREVRANGE', index, rank, rank + limit - 1, 'WITHSCORES')
end
local isOpen = to == (isUp and '+inf' or '-inf')
local rows = {}
for at = 1, #found, 2 do
  local member, score = found[at], found[at + 1]
  local isBeyond = not isOpen and (isUp and tonumber(score) > tonumber(to) or not isUp and tonumber(score) < tonumber(to))
  if isBeyond then break end
  local sequence, id, version = string.match(member, '^(%d+):(%w+):(%d+)$')
  rows[#rows + 1] = { score, sequence, rowOf(id, version) or { version } }
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
