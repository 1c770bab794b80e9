-- What was spent of a budget in one window of time, one hash: `settled_usd`, `settled_tokens` of the
-- calls whose cost is known, `reserved_*` of those under way, `lost_*` and `least_*` of those whose
-- cost nobody knows, at most and at least; `calls`, `lost`, `granted`: how often people have given the
-- amount once more. Money is in micro-dollars.
--@ include total

local UNITS = {'usd', 'tokens'}

-- Add to a sum; a field that holds no number begins anew.
local function add(sheet, field, by)
  if by == 0 then return end
  local sum = redis.pcall('HINCRBY', sheet, field, string.format('%.0f', by))
  if type(sum) ~= 'number' then put(sheet, field, string.format('%.0f', by)) end
end

-- How much of a unit is spent for good, and reserved; what stands under no number counts 0.
local function sums(sheet, unit)
  local row = soft('HMGET', sheet, 'settled_' .. unit, 'lost_' .. unit, 'reserved_' .. unit) or {}
  return (tonumber(row[1] or '') or 0) + (tonumber(row[2] or '') or 0), tonumber(row[3] or '') or 0
end

-- Keep the keys of a budget for so many seconds after its last use, and its name among all.
local function touch(sheet, sheet_ttl, record, budgets, account, now, ttl)
  redis.call('EXPIRE', sheet, sheet_ttl)
  redis.call('EXPIRE', record, ttl)
  if soft('ZADD', budgets, now + ttl, account) == nil then
    redis.call('DEL', budgets)
    redis.call('ZADD', budgets, now + ttl, account)
  end
  redis.call('ZREMRANGEBYSCORE', budgets, '-inf', now)
  redis.call('EXPIRE', budgets, ttl)
end
