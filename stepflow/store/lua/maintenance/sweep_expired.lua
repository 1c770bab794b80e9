-- Take runs whose records have expired out of the indexes, many at once: one script takes a few milliseconds at most.
-- One that was submitted anew meanwhile keeps its places.
-- Caller: store/claims.py sweep_expired, for worker/maintenance.py. Safe to repeat.
-- KEYS  1 expiry
-- ARGV  1 now or ''  2 namespace  3 most members
-- Gives how many were looked at: as many as asked for means that there may be more.
--@ include clock
--@ include total
local ns, gone = ARGV[2], {}
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', stamp_of(clock(ARGV[1])), 'LIMIT', 0, ARGV[3])
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
  local state, runner, run_id = string.match(member, '^(%l+)|([%w_.:-]*)|([%w_-]+)$')
  if state then
    local now_is = soft('HGET', ns .. ':run:' .. run_id, 'state')
    if now_is ~= state then note(ns .. ':idx:' .. state, run_id) end
    if not now_is then note(ns .. ':idx:runner:' .. runner, run_id) end
  end
end
for index, run_ids in pairs(gone) do soft('ZREM', index, unpack(run_ids)) end
redis.call('ZREM', KEYS[1], unpack(members))
return #members
