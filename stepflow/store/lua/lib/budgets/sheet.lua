-- What was spent of a budget in one window of time, one hash: `settled_usd`, `settled_tokens` of the
-- calls whose cost is known, `reserved_*` of those under way, `lost_*` and `least_*` of those whose
-- cost nobody knows, at most and at least; `calls`, `lost`, `granted`: how often people have given the
-- amount once more. Money is in micro-dollars. Beside it stand the calls under way, by what makes them:
-- `<attempt>|<token of the claim>|<member>|<usd>|<tokens>|<at>`.
--@ include total
--@ include keys
--@ include ids

local UNITS = {'usd', 'tokens'}

-- Add to a sum; a field that holds no number begins anew.
local function add(sheet, field, by)
  if by == 0 then return end
  local sum = redis.pcall('HINCRBY', sheet, field, string.format('%.0f', by))
  if type(sum) ~= 'number' then put(sheet, field, string.format('%.0f', by)) end
end

-- Take a call off those under way; gives what was reserved for it, nil when it is not among them.
-- mine: how its row begins, or '' for whichever stands there.
local function take_open(sheet, open, slot, mine)
  local row = soft('HGET', open, slot)
  if not row or string.sub(row, 1, #mine) ~= mine then return nil end
  redis.call('HDEL', open, slot)
  local usd, tokens = string.match(row, '|(%d+)|(%d+)|[%d.]+$')
  local kept = {usd = tonumber(usd) or 0, tokens = tonumber(tokens) or 0}
  for _, unit in ipairs(UNITS) do add(sheet, 'reserved_' .. unit, -kept[unit]) end
  return kept
end

-- Count a call that was made and of whose cost nobody knows: least to at most what was reserved.
local function lose(sheet, unit, least, most)
  add(sheet, 'lost_' .. unit, math.max(least, most))
  add(sheet, 'least_' .. unit, least)
end

-- The call of a slot is lost with the worker that made it.
local function lose_open(sheet, open, slot, mine)
  local kept = take_open(sheet, open, slot, mine)
  if not kept then return false end
  for _, unit in ipairs(UNITS) do lose(sheet, unit, 0, kept[unit]) end
  count_up(sheet, 'lost')
  return true
end

-- Calls whose claim is over are lost. Looks at some of those under way; gives whether it found any.
local function lose_dead(ns, sheet, open)
  local rows, found = (soft('HSCAN', open, '0', 'COUNT', 500) or {})[2] or {}, false
  for i = 1, #rows, 2 do
    local token, member = string.match(rows[i + 1], '^[^|]*|([^|]*)|([^|]*)|')
    local held = member and is_member(member) and soft('HGET', record_of(ns, member), 'token')
    if held ~= token and lose_open(sheet, open, rows[i], '') then found = true end
  end
  return found
end

-- How much of a unit is spent for good, and reserved; what stands under no number counts 0.
local function sums(sheet, unit)
  local row = soft('HMGET', sheet, 'settled_' .. unit, 'lost_' .. unit, 'reserved_' .. unit) or {}
  return (tonumber(row[1] or '') or 0) + (tonumber(row[2] or '') or 0), tonumber(row[3] or '') or 0
end

-- Settle a call: what it has cost of each unit, '' for unknown; least: '1' where that is the least.
local function settle(sheet, open, slot, mine, cost, least)
  local kept = take_open(sheet, open, slot, mine)
  if not kept then return end
  local is_lost = false
  for unit, spent in pairs(cost) do
    if spent == '' or least == '1' then
      is_lost = true
      lose(sheet, unit, tonumber(spent) or 0, kept[unit])
    else
      add(sheet, 'settled_' .. unit, tonumber(spent))
    end
  end
  if is_lost then count_up(sheet, 'lost') end
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
