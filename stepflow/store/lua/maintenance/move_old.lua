-- Move runs from an index of the version before to where their records say that they stand, the
-- newest first. One whose record is gone is forgotten there.
-- Caller: store/indexes/old.py move_old, for worker/upkeep/indexes.py. Safe to repeat, and while
-- processes of that version go on writing to it.
-- Names: old: the index; expiry, old_expiry: the sets of what expires; given: now, or ''; limit:
-- most members.
-- Gives how many were moved: as many as asked for means that there may be more.
--@ include total
--@ include clock
--@ include ids
--@ include keys
--@ include indexes/tags
--@ keys old expiry old_expiry
--@ args given ns limit
local members = soft('ZREVRANGE', old_key, 0, limit - 1)
if not members then return redis.call('DEL', old_key) end
if not members[1] then return 0 end
local now = clock(given)

local IS_END = {succeeded = true, failed = true, cancelled = true}

local function end_run(id, run, state, runner, ended)
  soft('ZADD', ended_index_of(ns, state), ended, id)
  soft('ZADD', runner_index_of(ns, state, runner), ended, id)
  soft('ZREM', runner_index_of(ns, 'live', runner), id) -- a worker of that version ended it
  local tags, left_ms = tags_of(run .. ':data'), redis.call('PTTL', run)
  score_tags(ns, tags, ended, id)
  local member = state .. '|' .. runner .. '|' .. id
  soft('ZREM', old_expiry_key, member)
  if left_ms > 0 then
    soft('ZADD', expiry_key, stamp_of(now + left_ms / 1000), expiring(member, tags))
  end
end

for _, id in ipairs(members) do
  local run = run_of(ns, id)
  local row = is_run_id(id) and soft('HMGET', run, 'state', 'runner', 'created', 'ended') or {}
  local runner = string.match(row[2] or '', '^([%w_.:-]+)') or 'unknown' -- as run_hash.py reads it
  local created, ended = moment(row[3]) and row[3], moment(row[4]) and row[4]
  if row[1] and (ended or IS_END[row[1]]) then
    end_run(id, run, IS_END[row[1]] and row[1] or 'failed', runner, ended or '1')
  elseif row[1] then
    soft('ZADD', runner_index_of(ns, 'live', runner), 'NX', created or '1', id)
  end
  soft('ZREM', old_runner_index_of(ns, runner), id)
end
redis.call('ZREM', old_key, unpack(members))
return #members
