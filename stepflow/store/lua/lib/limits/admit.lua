-- Limits at the claim and at its end: a run begins with a slot of each of its limits or with none.
--@ include limits/line
--@ include limits/at

-- Let a run begin, or have it wait in line. All of its limits or none: so no run keeps one slot
-- while it waits for another, and no two wait for each other.
local function admit(at, run_id)
  local run = waiter_of(at, run_id)
  if not run then return true end
  local limit, from = obstacle(at, run)
  if limit then
    stand_in_line(at, run, limit, from)
    return false
  end
  local time = stamp_of(at.now)
  for _, use in ipairs(run.uses) do
    local one = use.limit
    soft('ZADD', one.slots, 'NX', time, run_id)
    soft('SADD', slots_of(at.ns), one.member)
    soft('ZREM', one.called, run_id)
    if one.interval and run.begins then
      local tat = math.max(tonumber(soft('GET', one.tat)) or 0, at.now)
      tat = tat + use.units * one.interval
      redis.call('SET', one.tat, stamp_of(tat), 'PX', math.ceil((tat - at.now) * 1000))
    end
  end
  if run.held ~= '' then redis.call('HDEL', run.record, 'held') end
  return true
end

-- Have a limit rest until a time, or longer where it does already.
local function rest(at, key, till)
  if (tonumber(soft('GET', key) or nil) or 0) < till and till > at.now then
    redis.call('SET', key, stamp_of(till), 'PX', math.ceil((till - at.now) * 1000))
  end
end

-- Give back what a run has of its limits, when its claim ends, or when nothing claims it any more;
-- the next in line get their turn. A slot of scope `run` stays until the run has ended.
-- Without *run_id* the run has no limits. resting, key: a limit that begins nothing until a time,
-- for one key or for all with ''.
local function give_back(run_id, limits, ns, prefix, now, has_ended, resting, key, till)
  if not run_id then return end
  local at = limits_at(ns, prefix, tonumber(now))
  if resting then rest(at, kept_of(ns, 'rest', resting, key), tonumber(till)) end
  for _, use in ipairs(limits_in(at, limits)) do
    local limit = use.limit
    if has_ended == '1' or limit.scope ~= 'run' then soft('ZREM', limit.slots, run_id) end
    soft('ZREM', limit.called, run_id)
    soft('ZREM', limit.line, run_id)
    if redis.call('EXISTS', limit.slots) == 0 then soft('SREM', slots_of(ns), limit.member) end
    if redis.call('EXISTS', limit.line) == 1 then call_heads(at, limit)
    else soft('SREM', lines_of(ns), limit.member) end
  end
end
