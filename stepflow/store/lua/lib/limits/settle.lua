-- A step is done with what it had of limits.
--@ include limits/admit

-- Have a begin stand for so many units of a rate instead of those that it was let in with.
local function settle(at, use, units)
  local one, tat = use.limit, tonumber(soft('GET', use.limit.tat) or nil) or 0
  if not one.interval or units == use.units then return end
  tat = math.max(tat, at.now) + (units - use.units) * one.interval
  if tat <= at.now then redis.call('DEL', one.tat)
  else redis.call('SET', one.tat, stamp_of(tat), 'PX', kept_until(at, tat)) end
end

-- Note that an ask of a claim is over: a late arrival of it, or of one before, changes nothing.
local function note_settled(asks, token, number)
  local before = soft('HGET', asks, '') or ''
  if not is_past(before, token, number) then put(asks, '', token .. '|' .. number) end
end

-- A step of the claim *token* gives back what it has, or waits no longer. settled: what it has used,
-- `limit=units` in a line each, where that is not what it asked for.
local function leave_step(at, run_id, token, step, number, settled)
  local ask = ask_of(at, run_id, step)
  local asks = asks_of(run_of(at.ns, run_id))
  if ask and ask.asked == token .. '|' .. number and (ask.token == '' or ask.token == token) then
    local uses = limits_in(at, ask.limits)
    redis.call('HDEL', asks, step)
    for name, units in string.gmatch(ask.token == '' and '' or settled, '([^=\n]+)=(%d+)') do
      for _, use in ipairs(uses) do
        if use.limit.name == name then settle(at, use, tonumber(units)) end
      end
    end
    leave(at, ask.id, uses)
  end
  note_settled(asks, token, number)
end

-- All those of a list: step, number, settled ...
local function leave_steps(at, run_id, token, steps)
  for i = 1, #steps, 3 do
    leave_step(at, run_id, token, steps[i], steps[i + 1], steps[i + 2])
  end
end

-- Have limits rest that a list names: limit, key, until ...
local function rest_all(at, rests)
  for i = 1, #rests, 3 do
    rest(at, kept_of(at.ns, 'rest', rests[i], rests[i + 1]), tonumber(rests[i + 2]))
  end
end
