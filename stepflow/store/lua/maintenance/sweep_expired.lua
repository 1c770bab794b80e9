-- Take runs whose records have expired out of the indexes, many at once: one script takes a few
-- milliseconds at most. One that was submitted anew meanwhile keeps its places.
-- Caller: store/maintenance.py sweep_expired, for worker/upkeep/indexes.py. Safe to repeat.
-- Names: expiry: the set of what expires, this version's or that of the version before; given: now,
-- or ''; limit: most members.
-- Gives how many were looked at: as many as asked for means that there may be more.
--@ include total
--@ include clock
--@ include keys
--@ include indexes/each_tag
--@ keys expiry
--@ args given ns limit
local gone = {}
local time = stamp_of(clock(given))
local members = redis.call('ZRANGEBYSCORE', expiry_key, '-inf', time, 'LIMIT', 0, limit)
if not members[1] then return 0 end

local function note(index, run_id)
  local list = gone[index]
  if not list then
    list = {}
    gone[index] = list
  end
  list[#list + 1] = run_id
end

for _, member in ipairs(members) do -- one that names no run is forgotten with the others
  local state, runner, run_id, tags = string.match(member, '^(%l+)|([%w_.:-]*)|([%w_-]+)|?(.*)$')
  if state then
    local now_is = soft('HGET', run_of(ns, run_id), 'state')
    if now_is ~= state then
      note(ended_index_of(ns, state), run_id)
      note(runner_index_of(ns, state, runner), run_id)
      note(old_ended_index_of(ns, state), run_id)
    end
    if not now_is then
      note(runner_index_of(ns, 'live', runner), run_id) -- of a worker of the version before
      note(old_runner_index_of(ns, runner), run_id)
      for tag in each_tag(tags) do note(tag_index_of(ns, tag), run_id) end
    end
  end
end
for index, run_ids in pairs(gone) do soft('ZREM', index, unpack(run_ids)) end
redis.call('ZREM', expiry_key, unpack(members))
return #members
