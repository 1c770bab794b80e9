-- Limits at the claim and at its end: a run begins with a slot of each of its limits or with none.
--@ include limits/call limits/at limits/charge

-- Let a run or a step begin under a token, or have it wait in line. All of its limits or none: so
-- nobody keeps one slot while it waits for another, and no two wait for each other. Where it waits it
-- gives the limit as well, and when that has room, where a time says so.
local function admit(at, id, token)
  local run = waiter_of(at, id)
  if not run then return true end
  local limit, from = obstacle(at, run)
  if limit then
    stand_in_line(at, run, limit, from)
    return false, limit, from
  end
  local time = stamp_of(at.now)
  for _, use in ipairs(run.uses) do
    local one = use.limit
    soft('ZADD', one.slots, 'NX', time, id)
    soft('SADD', slots_of(at.ns), one.member)
    soft('ZREM', one.called, id)
    soft('ZREM', one.ahead, id)
    if one.interval and run.begins then
      charge(at, one, use.units)
      if not run.step then redis.call('HSET', run.record, 'charged', token) end
    end
  end
  if run.step then
    run.token, run.held = token, ''
    write_ask(run)
  elseif run.held ~= '' then redis.call('HDEL', run.record, 'held') end
  return true
end

-- Have a limit rest until a time, or longer where it does already.
local function rest(at, key, till)
  if (tonumber(soft('GET', key) or nil) or 0) < till and till > at.now then
    redis.call('SET', key, stamp_of(till), 'PX', kept_until(at, till))
  end
end

-- Take one out of its limits: out of their slots, but for those that it *keeps* to its end, and out of
-- their lines. The next in line get their turn.
local function leave(at, id, uses, keeps)
  for _, use in ipairs(uses) do
    local limit = use.limit
    if not (keeps and limit.scope == 'run') then soft('ZREM', limit.slots, id) end
    soft('ZREM', limit.called, id)
    soft('ZREM', limit.line, id)
    soft('ZREM', limit.ahead, id)
    if redis.call('EXISTS', limit.slots) == 0 then soft('SREM', slots_of(at.ns), limit.member) end
    if redis.call('EXISTS', limit.line) == 1 then call_heads(at, limit)
    else soft('SREM', lines_of(at.ns), limit.member) end
  end
end

-- What the steps of a run have goes back with the claim; with *waits* they leave their lines as well.
local function give_back_of_steps(at, run_id, waits)
  local asks = asks_of(run_of(at.ns, run_id))
  local all, gone = soft('HGETALL', asks) or {}, {}
  for i = 1, #all, 2 do
    local ask = read_ask(at, run_id, all[i], all[i + 1])
    if not ask or waits or ask.token ~= '' then redis.call('HDEL', asks, all[i]) end
    if ask and (waits or ask.token ~= '') then gone[#gone + 1] = ask end
  end
  for _, ask in ipairs(gone) do leave(at, ask.id, limits_in(at, ask.limits)) end
end

-- Give back what a run has of its limits, when its claim ends, or when nothing claims it any more;
-- the next in line get their turn. A slot of scope `run` stays until the run has ended.
-- Without *run_id* the run has no limits. of_steps: 'had' for what its steps have, 'all' for their
-- waits as well, or ''; resting, key: a limit that begins nothing until a time, for one key or for all
-- with ''.
local function give_back(run_id, limits, ns, prefix, now, rq_time, is_over, of_steps, resting, key, till)
  if not run_id then return end
  local at = limits_at(ns, prefix, tonumber(now), rq_time)
  if resting then rest(at, kept_of(ns, 'rest', resting, key), tonumber(till)) end
  leave(at, run_id, limits_in(at, limits), is_over ~= '1')
  if of_steps ~= '' then give_back_of_steps(at, run_id, of_steps == 'all') end
end
