-- A limit as it counts for one key: what it says, and whether it has room. store/limits/ has the
-- same in Python.
--@ include total
--@ include clock
--@ include keys

-- Seconds that room is kept for a run whose turn has come; then the next one is called as well.
local CALL_S = 1

-- Milliseconds that a time is kept: until it has come, and a minute longer, for clocks that lag.
local function kept_until(at, time) return math.ceil((time - at.now) * 1000) + 60000 end

-- Give a limit for one key. What code declares stands in the hash under its name; what an operator
-- has set, for all keys or for this one, under '=' and outdoes it, field by field.
local function limit_of(at, name, key)
  local member = name .. '|' .. key
  local limit = at.known[member]
  if limit then return limit end
  limit = {member = member, name = name, key = key, burst = 1}
  for _, kind in ipairs({'slots', 'line', 'ahead', 'called', 'tat', 'rest'}) do
    limit[kind] = kept_of(at.ns, kind, name, key)
  end
  at.known[member] = limit
  local said = soft('HMGET', limits_of(at.ns), name, name .. '=', name .. '[' .. key .. ']=') or {}
  for i = 1, 3 do
    local fields = {string.match(said[i] or '', '^([^|]*)|([^|]*)|([^|]*)|([^|]*)')}
    for number, field in ipairs({'most', 'interval', 'burst', 'scope'}) do
      local text = fields[number] or ''
      if text ~= '' then limit[field] = number < 4 and tonumber(text) or number == 4 and text or nil end
    end
  end
  return limit
end

-- Count one among those ahead of the line: it waits, and has still to be looked at. A week at most.
local function stand_ahead(limit, time, who)
  if soft('ZADD', limit.ahead, time, who) then redis.call('EXPIRE', limit.ahead, 604800) end
end

-- Read the limits of a run: name|key|units in each line.
local function limits_in(at, text)
  local uses = {}
  for name, key, units in string.gmatch(text, '([^|\n]+)|([^|\n]*)|(%d+)') do
    uses[#uses + 1] = {limit = limit_of(at, name, key), units = tonumber(units)}
  end
  return uses
end

-- Say whether *who* may begin, and go by so many units; else when it may, nil for when somebody
-- gives a slot back. Also whether its turn has come: room is kept for it, as for others called.
local function room(at, limit, who, units)
  soft('ZREMRANGEBYSCORE', limit.called, '-inf', '(' .. stamp_of(at.now - CALL_S))
  local called = soft('ZCARD', limit.called) or 0
  local is_called = called > 0 and soft('ZSCORE', limit.called, who) and true
  if is_called then called = called - 1 end
  if limit.most and not soft('ZSCORE', limit.slots, who)
    and (soft('ZCARD', limit.slots) or 0) + called >= limit.most then
    return false, nil, is_called
  end
  local function time(key) return tonumber(soft('GET', key) or nil) or 0 end
  local from = math.max(time(limit.rest), time(kept_of(at.ns, 'rest', limit.name, '')))
  if limit.interval and units > 0 then
    local ahead = called + units - math.max(limit.burst or 1, units)
    from = math.max(from, math.max(time(limit.tat), at.now) + ahead * limit.interval)
  end
  if from > at.now + 0.000001 then return false, from, is_called end
  return true, nil, is_called
end
