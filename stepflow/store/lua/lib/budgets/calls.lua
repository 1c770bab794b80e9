-- The calls under way that spend of a budget, one hash beside its sheet, by what makes them:
-- `<attempt>|<token of the claim>|<member>|<usd>|<tokens>|<at>`.
--@ include total
--@ include keys
--@ include ids
--@ include budgets/sheet

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

-- Settle a call: what it has cost of each unit, '' for unknown; least: '1' where that is the least.
local function settle(sheet, open, slot, mine, cost, least)
  local kept = take_open(sheet, open, slot, mine)
  if not kept then return end
  local is_lost = false
  for unit, spent in pairs(cost) do
    if spent ~= '' and least ~= '1' then
      add(sheet, 'settled_' .. unit, tonumber(spent))
    elseif spent ~= '' or kept[unit] > 0 then -- else nobody counts what has no price
      is_lost = true
      lose(sheet, unit, tonumber(spent) or 0, kept[unit])
    end
  end
  if is_lost then count_up(sheet, 'lost') end
end
