-- Rates: what begins is charged for so many units, and what was really used stands for that later.
--@ include limits/limit

-- Count so many units more against a rate; fewer than none give some back.
local function charge(at, limit, units)
  local tat = tonumber(soft('GET', limit.tat) or nil) or 0
  tat = math.max(tat, at.now) + units * limit.interval
  if tat <= at.now then redis.call('DEL', limit.tat)
  else redis.call('SET', limit.tat, stamp_of(tat), 'PX', kept_until(at, tat)) end
end

-- Have a begin stand for so many units of a rate instead of those that it was let in with.
local function settle(at, use, units)
  if use.limit.interval and units ~= use.units then charge(at, use.limit, units - use.units) end
end
