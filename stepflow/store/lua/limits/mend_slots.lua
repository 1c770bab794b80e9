-- Take slots back that nobody has any more: of runs that are gone or have ended, or that no worker
-- has claimed. It looks at those that have had theirs the longest. The next in line get their turn.
-- Caller: store/limits/lines.py mend_slots, for engine/limits/turns.py and the doctor. Safe to repeat.
-- Names: given: now, or ''; prefix: of RQ ids; limit, key; most: slots to look at.
-- Gives the ids of the runs and steps whose slots were taken back.
--@ include limits/admit
--@ include clock
--@ args given ns prefix rq_time limit key most
local at = limits_at(ns, prefix, clock(given), rq_time)
local one, freed = limit_of(at, limit, key), {}

-- Whether it has no right to its slot any more: a run, or a step of one.
local function is_stray(id)
  local run_id, step = split_step(id)
  local row = soft('HMGET', run_of(ns, run_id or id), 'token', 'ended', 'state') or {}
  if not row[3] or (row[2] or '') ~= '' then return true end
  local token = row[1] or ''
  if not step then return one.scope ~= 'run' and token == '' end
  local ask = ask_of(at, run_id, step)
  return not ask or ask.token ~= token or token == ''
end

for _, id in ipairs(soft('ZRANGE', one.slots, 0, most - 1) or {}) do
  if is_stray(id) then
    soft('ZREM', one.slots, id)
    freed[#freed + 1] = id
  end
end
if redis.call('EXISTS', one.slots) == 0 then soft('SREM', slots_of(ns), one.member) end
if freed[1] then call_heads(at, one) end
return freed
