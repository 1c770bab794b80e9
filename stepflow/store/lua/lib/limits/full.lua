-- How many may wait for a limit: counted in the write that makes a run, so submits that come at once
-- are counted as well.
--@ include limits/limit

-- Runs that may wait for one key, where the limit does not say; core/limits/limit.py has the same.
local MOST_IN_LINE = 100000
-- Those ahead of a line that are looked at before one is refused.
local MOST_LOOKED_AT = 64

local function most_in_line(at, limit)
  local most = MOST_IN_LINE
  for _, text in ipairs(soft('HMGET', limits_of(at.ns), limit.name, limit.name .. '=',
    limit.name .. '[' .. limit.key .. ']=') or {}) do
    most = tonumber(string.match(text or '', '^[^|]*|[^|]*|[^|]*|[^|]*|([^|]+)')) or most
  end
  return most
end

-- How many more may begin now, should each take so many units.
local function spare(at, limit, units)
  local function time(key) return tonumber(soft('GET', key) or nil) or 0 end
  if math.max(time(limit.rest), time(kept_of(at.ns, 'rest', limit.name, ''))) > at.now then return 0 end
  local free = math.huge
  if limit.most then free = limit.most - (soft('ZCARD', limit.slots) or 0) end
  if limit.interval and units > 0 then
    local begun = math.max(time(limit.tat) - at.now, 0) / limit.interval
    free = math.min(free, math.floor((math.max(limit.burst, units) - begun) / units + 0.000001))
  end
  return math.max(free, 0)
end

-- Whether a run, or a step whose turn has come, is on its way to a limit.
local function is_ahead(at, limit, id)
  if string.find(id, '/', 1, true) then return soft('ZSCORE', limit.called, id) end
  local row = soft('HMGET', run_of(at.ns, id), 'delivery', 'ended') or {}
  return (row[1] or '') ~= '' and (row[2] or '') == '' and not soft('ZSCORE', limit.line, id)
end

-- Take those out of the ones ahead of a line that are not there any more: a worker of the version
-- before claims runs and says nothing.
local function forget_strays(at, limit)
  for _, id in ipairs(soft('ZRANGE', limit.ahead, 0, MOST_LOOKED_AT - 1) or {}) do
    if not is_ahead(at, limit, id) then soft('ZREM', limit.ahead, id) end
  end
end

local function waiting_for(limit)
  return (soft('ZCARD', limit.line) or 0) + (soft('ZCARD', limit.ahead) or 0)
end

-- Count a run that is submitted among those that wait for its limits; one that is due later joins
-- them when it is. Where so many wait for one already that no more may, count it for none, and give
-- limit, key, how many wait, how many may.
local function join_limits(at, run_id, written, due)
  local uses = limits_in(at, written)
  for _, use in ipairs(uses) do
    local limit = use.limit
    local most = most_in_line(at, limit)
    local taken = most + spare(at, limit, use.units)
    if waiting_for(limit) >= taken then forget_strays(at, limit) end
    local waiting = waiting_for(limit)
    if waiting >= taken then return limit.name, limit.key, waiting, most end
  end
  for _, use in ipairs(due == '' and uses or {}) do
    stand_ahead(use.limit, stamp_of(at.now), run_id)
  end
end
