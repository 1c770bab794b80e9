-- Take slots back that nobody has any more: of runs that are gone or have ended, or that no worker
-- has claimed. It looks at those that have had theirs the longest. The next in line get their turn.
-- Caller: store/limits/lines.py mend_slots, for engine/limits/turns.py and the doctor. Safe to repeat.
-- Names: given: now, or ''; prefix: of RQ ids; limit, key; most: slots to look at.
-- Gives the ids of the runs whose slots were taken back.
--@ include limits/admit
--@ include clock
--@ args given ns prefix limit key most
local at = limits_at(ns, prefix, clock(given))
local one, freed = limit_of(at, limit, key), {}
for _, run_id in ipairs(soft('ZRANGE', one.slots, 0, most - 1) or {}) do
  local row = soft('HMGET', run_of(ns, run_id), 'token', 'ended', 'state') or {}
  local is_over = not row[3] or (row[2] or '') ~= ''
  if is_over or (one.scope ~= 'run' and (row[1] or '') == '') then
    soft('ZREM', one.slots, run_id)
    freed[#freed + 1] = run_id
  end
end
if redis.call('EXISTS', one.slots) == 0 then soft('SREM', slots_of(ns), one.member) end
if freed[1] then call_heads(at, one) end
return freed
