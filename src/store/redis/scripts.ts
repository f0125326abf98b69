import { createHash } from 'node:crypto';
import { KINDS } from './layout.ts';

/** A Lua script of Redis; sent whole only when the server does not have it. */
export interface Script {
  source: string;
  sha: string;
}

function script(source: string): Script {
  return { source, sha: createHash('sha1').update(source).digest('hex') };
}

/** Longest time that what a snapshot has kept stays, should nobody read on, in milliseconds. */
const SNAPSHOT_MS = 60_000;
/** How long the count of a process that writes nothing is kept. */
const COUNT_MS = 30 * 86_400_000;

/**
 * What every script shares. KEYS[1] is `meta`; ARGV[1] is the base of all keys. Keys beyond KEYS are made from the base:
 * they lie in the same slot. Strings are compared byte by byte, because `<` of Lua follows the locale of the server.
 */
const COMMON = `
local base = ARGV[1]
local KINDS = {${KINDS.map((kind) => `'${kind}'`).join(',')}}
local RANK = {${KINDS.map((kind, rank) => `['${kind}']='${String.fromCharCode(97 + rank)}'`).join(',')}}

local function isAfter(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x > y end
  end
  return #a > #b
end

local function recordKey(kind, id) return base .. 'r:' .. kind .. ':' .. id end

local function read(key) return redis.call('HMGET', key, 'v', 'c', 'm', 'a', 's', 'o', 'j') end

local function indexKeys(kind, a, s, o)
  local all = base .. 'x:' .. kind
  local keys = { all, all .. (o == '1' and ':o' or ':c') }
  if a then keys[#keys + 1] = all .. ':a:' .. a end
  if s then keys[#keys + 1] = all .. ':s:' .. s end
  return keys
end

local position = redis.call('HGET', base .. 'snap', 'position')
-- What a record was, or that it was none, when it changes before a snapshot has come to it.
local function keep(kind, id, old, sortable)
  if not position then return end
  local saved
  if old and isAfter(RANK[kind] .. old[3] .. id, position) then saved = cmsgpack.pack(old)
  elseif sortable and isAfter(RANK[kind] .. sortable .. id, position) then saved = ''
  else return end
  local field = kind .. ':' .. id
  if redis.call('HSETNX', base .. 'snap:rows', field, saved) == 1 then
    redis.call('RPUSH', base .. 'snap:keys', field)
    redis.call('PEXPIRE', base .. 'snap:rows', ${2 * SNAPSHOT_MS})
    redis.call('PEXPIRE', base .. 'snap:keys', ${2 * SNAPSHOT_MS})
  end
end

local function put(kind, id, version, c, m, a, s, o, j)
  local key = recordKey(kind, id)
  local old = read(key)
  if not old[1] then old = false end
  keep(kind, id, old, m)
  local fields = { 'v', version, 'c', c, 'm', m, 'j', j }
  local gone = {}
  for name, value in pairs({ a = a, s = s, o = o }) do
    if value then fields[#fields + 1] = name; fields[#fields + 1] = value
    else gone[#gone + 1] = name end
  end
  redis.call('HSET', key, unpack(fields))
  if old and #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
  if old and old[3] == m and old[4] == a and old[5] == s and old[6] == o then return end
  if old then for _, index in ipairs(indexKeys(kind, old[4], old[5], old[6])) do redis.call('ZREM', index, old[3] .. id) end end
  for _, index in ipairs(indexKeys(kind, a, s, o)) do redis.call('ZADD', index, 0, m .. id) end
end

local function remove(kind, id)
  local key = recordKey(kind, id)
  local old = read(key)
  if not old[1] then return end
  keep(kind, id, old, false)
  redis.call('UNLINK', key)
  for _, index in ipairs(indexKeys(kind, old[4], old[5], old[6])) do redis.call('ZREM', index, old[3] .. id) end
end

local function given(text) if text:sub(1, 1) == '=' then return text:sub(2) end return false end
`;

/**
 * Several commits, each one whole or not at all, and their journal entries, which were chained to the end that is named.
 * SHA-256 is not at hand in here, so the hashes come along, and the script sees to it that they fit.
 *
 * Redis loses its end first, whether it crashes or a replica takes over: a process whose own count has gone back knows
 * that something it was told to be stored is gone, whatever others wrote since.
 *
 * ARGV: base, schema, epoch, the count that the process was last told, process, whether it wants the next turn, number
 * and hash of the end that the entries follow; then of each commit how many writes and entries, the writes
 * (kind, id, expect, c, m, a, s, o, j), the entries (number, hash, subject, JSON).
 * Answer: a word when nothing was done; else number and hash of the end now, the count, and a result of each commit.
 */
export const COMMIT = script(`${COMMON}
local meta = redis.call('HMGET', KEYS[1], 'schema', 'epoch', 'number', 'hash', 'restoring')
if not meta[2] or meta[2] ~= ARGV[3] or meta[5] then return 'lost' end
if meta[1] ~= ARGV[2] then return 'schema' end
local number, hash = tonumber(meta[3]), meta[4]
local counted = base .. 'count:' .. ARGV[5]
local count = tonumber(redis.call('GET', counted) or 0)
if count < tonumber(ARGV[4]) then return 'lost' end
local turn = redis.call('GET', base .. 'turn')
local waits = turn and turn ~= ARGV[5]
local fits = number == tonumber(ARGV[7]) and hash == ARGV[8]
local stumbled, chained, written = false, false, false
local results = {}
local at = 9
while at <= #ARGV do
  local writes, entries = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local first = at + 2
  local firstEntry = first + writes * 9
  at = firstEntry + entries * 4
  local result = 'ok'
  if entries > 0 and (waits or not fits) then
    result = waits and 'wait' or 'again'
    if not waits then stumbled = true end
  else
    local seen = {}
    for w = 0, writes - 1 do
      local place = first + w * 9
      local key = recordKey(ARGV[place], ARGV[place + 1])
      local found = seen[key] or tonumber(redis.call('HGET', key, 'v') or 0)
      if found ~= tonumber(ARGV[place + 2]) then result = { 'conflict', w, found } break end
      seen[key] = found + 1
    end
    if result == 'ok' then
      written = true
      for w = 0, writes - 1 do
        local p = first + w * 9
        put(ARGV[p], ARGV[p + 1], tonumber(ARGV[p + 2]) + 1, ARGV[p + 3], ARGV[p + 4],
          given(ARGV[p + 5]), given(ARGV[p + 6]), given(ARGV[p + 7]), ARGV[p + 8])
      end
      for e = 0, entries - 1 do
        local p = firstEntry + e * 4
        redis.call('HSET', KEYS[2], ARGV[p], ARGV[p + 3])
        redis.call('ZADD', KEYS[3], 0, ARGV[p + 2] .. '\\0' .. string.format('%016d', ARGV[p]))
        number, hash, chained = tonumber(ARGV[p]), ARGV[p + 1], true
      end
    elseif entries > 0 then
      -- The entries of the commits after this one follow ones that are not there.
      fits = false
    end
  end
  results[#results + 1] = result
end
if chained then
  redis.call('HSET', KEYS[1], 'number', number, 'hash', hash)
  if turn then redis.call('DEL', base .. 'turn') end
elseif stumbled and ARGV[6] == '1' then
  redis.call('SET', base .. 'turn', ARGV[5], 'PX', 250, 'NX')
end
if written then
  count = count + 1
  redis.call('SET', counted, count, 'PX', ${COUNT_MS})
end
return { number, hash, count, results }
`);

/**
 * ARGV: base, epoch to use when there is none, schema, version of davylamp, the epoch that was known or '', the count that
 * the process was last told, process.
 */
export const OPEN = script(`
local base = ARGV[1]
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'schema', ARGV[3], 'epoch', ARGV[2], 'writtenBy', ARGV[4], 'number', 0, 'hash', string.rep('0', 64))
end
local meta = redis.call('HMGET', KEYS[1], 'schema', 'epoch', 'writtenBy', 'number', 'hash', 'restoring')
if meta[6] then return { 'restoring' } end
local schema = tonumber(meta[1])
if schema > tonumber(ARGV[3]) then return { 'newer', schema, meta[3] or '' } end
if schema < tonumber(ARGV[3]) then
  if redis.call('SET', base .. 'migrating', ARGV[7], 'PX', 30000, 'NX') then return { 'migrate', schema } end
  return { 'wait' }
end
if meta[3] ~= ARGV[4] then redis.call('HSET', KEYS[1], 'writtenBy', ARGV[4]) end
local count = tonumber(redis.call('GET', base .. 'count:' .. ARGV[7]) or 0)
-- The same data set without its end is another one.
if ARGV[5] == meta[2] and count < tonumber(ARGV[6]) then
  meta[2] = ARGV[2]
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2])
end
return { 'open', meta[2], tonumber(meta[4]), meta[5], count }
`);

/** ARGV: base, process, the schema that was reached. Answer: whether the process still had the turn. */
export const MIGRATED = script(`
if redis.call('GET', ARGV[1] .. 'migrating') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'schema', ARGV[3])
redis.call('DEL', ARGV[1] .. 'migrating')
return 1
`);

/**
 * ARGV: base, kind, application, state, open (each '=' and the value, or '-'), the upper and the lower end as ZRANGEBYLEX
 * has them, limit, most bytes, most members to look at.
 * Answer: where it stopped ('' at the end), whether a record follows, the records.
 */
export const LIST = script(`${COMMON}
local all = base .. 'x:' .. ARGV[2]
local a, s, o = given(ARGV[3]), given(ARGV[4]), given(ARGV[5])
local sets = {}
if a then sets[#sets + 1] = all .. ':a:' .. a end
if s then sets[#sets + 1] = all .. ':s:' .. s end
if o then sets[#sets + 1] = all .. (o == '1' and ':o' or ':c') end
-- The smallest set is walked; what the other filters say stands in the record.
local walked, size = all, nil
for _, set in ipairs(sets) do
  local members = redis.call('ZCARD', set)
  if not size or members < size then walked, size = set, members end
end
local upper, limit, budget, looks = ARGV[6], tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local found, bytes = {}, 0
while looks > 0 do
  local count = math.min(looks, 100)
  local members = redis.call('ZREVRANGEBYLEX', walked, upper, ARGV[7], 'LIMIT', 0, count)
  for _, member in ipairs(members) do
    local id = member:sub(17)
    local key = recordKey(ARGV[2], id)
    local row = redis.call('HMGET', key, 'v', 'c', 'a', 's', 'o')
    if row[1] and (not a or row[3] == a) and (not s or row[4] == s) and (not o or row[5] == o) then
      local length = redis.call('HSTRLEN', key, 'j')
      if #found == limit or (#found > 0 and bytes + length > budget) then return { upper, 1, found } end
      bytes = bytes + length
      found[#found + 1] = { id, row[1], row[2], row[3], row[4], row[5], redis.call('HGET', key, 'j') }
    end
    upper = '(' .. member
  end
  if #members < count then return { '', 0, found } end
  looks = looks - #members
end
return { upper, 0, found }
`);

/** ARGV: base, kind, where to begin and end as ZRANGEBYLEX has it, limit, most members to look at. Answer: how many went, where it stopped. */
export const PRUNE = script(`${COMMON}
local kind, lower, limit, looks = ARGV[2], ARGV[3], tonumber(ARGV[5]), tonumber(ARGV[6])
local gone = 0
local members = redis.call('ZRANGEBYLEX', base .. 'x:' .. kind .. ':c', lower, ARGV[4], 'LIMIT', 0, looks)
for _, member in ipairs(members) do
  if gone == limit then return { gone, '' } end
  local id = member:sub(17)
  -- Measurements go with their analysis, and never while it runs.
  if kind ~= 'measurements' or redis.call('EXISTS', recordKey('analysis', id)) == 0 then
    remove(kind, id)
    if kind == 'analysis' then remove('measurements', id) end
    gone = gone + 1
  end
  lower = '(' .. member
end
return { gone, #members < looks and '' or lower }
`);

/** ARGV: base, session. Answer: 0 when another one is read; else 1 and the number of the last journal entry. */
export const SNAPSHOT_BEGIN = script(`
local base = ARGV[1]
if redis.call('EXISTS', base .. 'snap') == 1 then return { 0 } end
redis.call('HSET', base .. 'snap', 'session', ARGV[2], 'position', '')
redis.call('PEXPIRE', base .. 'snap', ${SNAPSHOT_MS})
redis.call('UNLINK', base .. 'snap:rows', base .. 'snap:keys')
return { 1, tonumber(redis.call('HGET', KEYS[1], 'number') or 0) }
`);

/**
 * The next records of a snapshot, in the order of kind, time and id; then those that changed before it came to them.
 * ARGV: base, session, most members to look at, bytes at which a page ends. Answer: a word when the session has ended;
 * else whether there may be more, and the records.
 */
export const SNAPSHOT_PAGE = script(`${COMMON}
if redis.call('HGET', base .. 'snap', 'session') ~= ARGV[2] then return 'interrupted' end
local DONE = string.char(255)
local left, budget = tonumber(ARGV[3]), tonumber(ARGV[4])
local found = {}
local function take(kind, id, row)
  found[#found + 1] = { kind, id, row[1], row[2], row[4], row[5], row[6], row[7] }
  budget = budget - #row[7]
end
while left > 0 and budget > 0 and position ~= DONE do
  local kind, member = KINDS[1], ''
  if position ~= '' then kind, member = KINDS[position:byte(1) - 96], position:sub(2) end
  local members = redis.call('ZRANGEBYLEX', base .. 'x:' .. kind, member == '' and '-' or '(' .. member, '+', 'LIMIT', 0, left)
  local complete = #members < left
  for _, each in ipairs(members) do
    if budget <= 0 then complete = false break end
    local id = each:sub(17)
    if redis.call('HEXISTS', base .. 'snap:rows', kind .. ':' .. id) == 0 then take(kind, id, read(recordKey(kind, id))) end
    position = RANK[kind] .. each
    left = left - 1
  end
  if complete then
    local rank = RANK[kind]:byte(1) - 96
    position = rank == #KINDS and DONE or RANK[KINDS[rank + 1]]
  end
end
local more = 1
while left > 0 and budget > 0 and position == DONE do
  local field = redis.call('LPOP', base .. 'snap:keys')
  if not field then more = 0 break end
  local saved = redis.call('HGET', base .. 'snap:rows', field)
  redis.call('HDEL', base .. 'snap:rows', field)
  if saved and saved ~= '' then
    local colon = field:find(':', 1, true)
    take(field:sub(1, colon - 1), field:sub(colon + 1), cmsgpack.unpack(saved))
  end
  left = left - 1
end
redis.call('HSET', base .. 'snap', 'position', position)
redis.call('PEXPIRE', base .. 'snap', ${SNAPSHOT_MS})
return { more, found }
`);

/** ARGV: base, session. */
export const SNAPSHOT_END = script(`
if redis.call('HGET', ARGV[1] .. 'snap', 'session') ~= ARGV[2] then return 0 end
return redis.call('UNLINK', ARGV[1] .. 'snap', ARGV[1] .. 'snap:rows', ARGV[1] .. 'snap:keys')
`);

/**
 * Parts of a backup as they are. ARGV: base, schema, version of davylamp, how many records, of each kind, id, v, c, m, a,
 * s, o, j; then of each entry number, hash, subject, JSON.
 */
export const LOAD = script(`${COMMON}
if redis.call('HSETNX', KEYS[1], 'restoring', 1) == 1 then
  redis.call('HSET', KEYS[1], 'schema', ARGV[2], 'writtenBy', ARGV[3], 'number', 0, 'hash', string.rep('0', 64))
  redis.call('HDEL', KEYS[1], 'epoch')
end
local at = 5
for _ = 1, tonumber(ARGV[4]) do
  put(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4],
    given(ARGV[at + 5]), given(ARGV[at + 6]), given(ARGV[at + 7]), ARGV[at + 8])
  at = at + 9
end
while at <= #ARGV do
  redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 3])
  redis.call('ZADD', KEYS[3], 0, ARGV[at + 2] .. '\\0' .. string.format('%016d', ARGV[at]))
  redis.call('HSET', KEYS[1], 'number', ARGV[at], 'hash', ARGV[at + 1])
  at = at + 4
end
return 1
`);
