-- Reserve what a call costs at most in each of its budgets, or in none.
-- Caller: store/budgets/spending.py reserve_budget, for worker/runtime/budgets.py.
-- Names: given: now, or ''; slot: what makes the call, of which one is under way at a time; attempt:
-- of this call; member, token: of the run and its claim; usd, tokens: at most; grace_s: after which they look for themselves; facts: of each budget the
-- account, its window, when that ends, its usd and tokens ('' for no limit), how often people have
-- granted it once more, its per, its on_exceeded, and how long sheet and record are kept after their
-- last use. Each has four keys.
-- What the slot had reserved before is lost: its worker is gone.
-- Gives {1}, also to a second arrival, {-1} for a claim that is over, or {0, number of the budget,
-- 1 where it is spent and 0 where it is reserved, when to ask again, what was put into the run's inbox,
-- how often it was granted, the unit, what was spent, the limit}.
--@ include clock waiting/waiters budgets/calls lists
--@ keys run budgets due sheet* open* record* waiting*
--@ args given ns slot attempt member token usd tokens grace_s rq_time pending channels facts*
local now = clock(given)
if redis.call('HGET', run_key, 'token') ~= token then return {-1} end
local mine, fact = attempt .. '|' .. token .. '|', table_of(facts)
if string.sub(soft('HGET', open_keys[1], slot) or '', 1, #mine) == mine then return {1} end
local most = {usd = tonumber(usd), tokens = tonumber(tokens)}

-- Where there is no room: the unit, what was spent, the limit, and whether it is spent for good.
local function full(i, given_limits)
  local set = soft('HMGET', record_keys[i], 'set_usd', 'set_tokens') or {}
  local times = 1 + (whole(soft('HGET', sheet_keys[i], 'granted')) or 0)
  for n, unit in ipairs(UNITS) do
    local limit = tonumber(set[n] or given_limits[n] or '')
    local spent, reserved = sums(sheet_keys[i], unit)
    if limit and limit * times < spent + reserved + most[unit] then
      return unit, spent, limit * times, limit * times < spent + most[unit]
    end
  end
end

-- What the code says of a budget is kept as it was last, also by those who find no room.
local function note(i)
  local account, window, _, limit_usd, limit_tokens, _, per, action, sheet_ttl, ttl =
    unpack(fact, i * 10 - 9, i * 10)
  put(record_keys[i], 'usd', limit_usd, 'tokens', limit_tokens, 'per', per, 'action', action,
    'window', window)
  redis.call('EXPIRE', open_keys[i], sheet_ttl)
  touch(sheet_keys[i], sheet_ttl, record_keys[i], budgets_key, account, now, ttl)
end

for i, sheet in ipairs(sheet_keys) do
  local account, _, till, limit_usd, limit_tokens, yes, _, action, _, ttl =
    unpack(fact, i * 10 - 9, i * 10)
  lose_open(sheet, open_keys[i], slot, '')
  local granted = whole(soft('HGET', sheet, 'granted')) or 0
  if tonumber(yes) > granted then
    put(sheet, 'granted', yes)
    granted = tonumber(yes)
    wake_waiters(waiting_keys[i], 100, {
      ns = ns, due = due_key, now = stamp_of(now), rq_time = rq_time, state = pending,
      channels = channels, waits_for = 'budget ' .. account,
    })
  end
  local limits = {limit_usd, limit_tokens}
  local unit, spent, limit, is_over = full(i, limits)
  if unit and not is_over and lose_dead(ns, sheet, open_keys[i]) then
    unit, spent, limit, is_over = full(i, limits)
  end
  if unit then
    note(i)
    local again = is_over and (tonumber(till) > 0 and tonumber(till) or now + 86400) or now + grace_s
    if not is_over or action ~= 'fail' then line_up(waiting_keys[i], member, now, ttl) end
    return {0, i, is_over and 1 or 0, stamp_of(again), redis.call('HGET', run_key, 'inbox') or '0',
      granted, unit, string.format('%.0f', spent), string.format('%.0f', limit)}
  end
end
local row = mine .. member .. '|' .. usd .. '|' .. tokens .. '|' .. stamp_of(now)
for i, sheet in ipairs(sheet_keys) do
  for unit, by in pairs(most) do add(sheet, 'reserved_' .. unit, by) end
  count_up(sheet, 'calls')
  put(open_keys[i], slot, row)
  note(i)
  soft('ZREM', waiting_keys[i], member)
end
return {1}
