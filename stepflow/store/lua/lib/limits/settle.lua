-- A step is done with what it had of limits.
--@ include limits/admit

-- Note that an ask of a claim is over: a late arrival of it, or of one before, changes nothing.
local function note_settled(asks, token, number)
  local before = soft('HGET', asks, '') or ''
  if not is_past(before, token, number) then put(asks, '', token .. '|' .. number) end
end

local function without_units(uses) return (string.gsub(uses .. '\n', '|%d+\n', '\n')) end

-- Have a step take over the place of the one of its run that wants the same limits, whose claim is over:
-- a run has one place for them, and that other does not ask before this one has had its turn.
-- Gives what it is held by, '' where there is no such place.
local function take_place(at, run_id, step, uses)
  local asks, id, held = asks_of(run_of(at.ns, run_id)), run_id .. '/' .. step, ''
  local all, wanted = soft('HGETALL', asks) or {}, without_units(uses)
  for i = 1, #all, 2 do
    local other = all[i] ~= step and read_ask(at, run_id, all[i], all[i + 1])
    if other and other.token == '' and without_units(other.limits) == wanted then
      redis.call('HDEL', asks, other.step)
      for _, use in ipairs(limits_in(at, uses)) do
        local called = soft('ZSCORE', use.limit.called, other.id)
        if called then redis.call('ZADD', use.limit.called, called, id) end
        for _, kind in ipairs({'called', 'line', 'ahead'}) do
          soft('ZREM', use.limit[kind], other.id)
        end
      end
      if since_of(other.held, at.now) < since_of(held, at.now + 1) then held = other.held end
    end
  end
  return held
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
