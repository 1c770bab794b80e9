-- Runs that wait for something other runs do: a sorted set of their members, by when they came.
--@ include total
--@ include clock
--@ include ids
--@ include keys
--@ include wake
--@ constants STATE_SCHEDULED

-- Tell one run. to: ns, due, now, rq_time, state, channels, waits_for. Gives whether it hears of it.
local function tell(member, to)
  local run = record_of(to.ns, member)
  local row = soft('HMGET', run, 'rev', 'parked', 'token', 'delivery', 'queue', 'ended', 'state',
    'waits_for', 'lane')
  if not row or not row[1] or (row[6] or '') ~= '' or not is_queue(row[5] or '') then return false end
  local place = {
    list = list_of(row[5]), queued_at = queued_at_of(to.ns, row[5]), wake = wake_of(to.ns, row[5]),
    due = to.due, scheduled = scheduled_of(row[5]), queue = row[5], now = to.now,
    rq_time = to.rq_time, ns = to.ns, state = to.state, lane = row[9], channels = to.channels,
    message = string.sub(member, 5) .. '|inbox||',
  }
  if row[7] == STATE_SCHEDULED then -- of a runner: its step is due later, and is due now
    if row[8] ~= to.waits_for or (row[4] or '') == '' then return false end
    redis.call('ZREM', to.due, member)
    soft('ZREM', place.scheduled, row[4])
    rouse(run, row[1], row[4], member, place)
    return true
  end
  return wake(run, row, member, place)
end

-- Wake the first *count* of them and take them out: one that has to wait again comes back at the
-- end. Those that are gone, or wait no more, do not count.
local function wake_waiters(waiting, count, to)
  for _ = 1, count + 10 do
    local member = count > 0 and (soft('ZRANGE', waiting, 0, 0) or {})[1]
    if not member then return end
    redis.call('ZREM', waiting, member)
    if is_member(member) and tell(member, to) then count = count - 1 end
  end
end

-- Have the first *count* of them look anew; they keep their places.
local function stir_waiters(waiting, count, to)
  for _, member in ipairs(soft('ZRANGE', waiting, 0, count + 9) or {}) do
    if count > 0 and is_member(member) and tell(member, to) then count = count - 1 end
  end
end

-- Take those out at the head that have ended: nobody is to wait behind them.
local function drop_ended(waiting, ns)
  for _ = 1, 10 do
    local member = (soft('ZRANGE', waiting, 0, 0) or {})[1]
    local row = member and soft('HMGET', record_of(ns, member), 'rev', 'ended')
    if not member or (row and row[1] and (row[2] or '') == '') then return end
    redis.call('ZREM', waiting, member)
  end
end

-- Have a run wait, behind all others; gives how many wait before it.
local function line_up(waiting, member, now, ttl)
  local last = soft('ZRANGE', waiting, -1, -1, 'WITHSCORES')
  if not last then redis.call('DEL', waiting) end
  local at = math.max(now, (tonumber(last and last[2] or 0) or 0) + 0.000001)
  redis.call('ZADD', waiting, 'NX', stamp_of(at), member)
  redis.call('EXPIRE', waiting, ttl)
  return redis.call('ZRANK', waiting, member)
end
