-- Let a call through a circuit breaker, or have its run wait.
-- Caller: store/breakers/permits.py take_permit, for worker/runtime/permits.py.
-- Names: given: now, or ''; rule: what the code says of the breaker, as it is shown; limit: of trials
-- at once; member, token: of the run and its claim; waits: 1 when the run is to be woken; grace_s,
-- gap_s: how long after a trial the others look for themselves, and how far apart; ttl: of its record.
-- Gives {1, epoch, is a trial}, also to a second arrival, or {0, when to ask again, what was put into
-- the run's inbox so far, until, failures, error, who opened it}.
--@ include total clock waiting/holders waiting/waiters waiting/breaker
--@ keys breaker breakers trials waiting run claims
--@ args given ns name rule limit permit member token waits grace_s gap_s ttl
local now = clock(given)
local row = soft('HMGET', breaker_key, 'epoch', 'state', 'until', 'won', 'failures', 'error', 'by',
  'rule')
if not row or not whole(row[1]) then
  redis.call('DEL', breaker_key)
  put(breaker_key, 'epoch', '1', 'rule', rule, 'since', stamp_of(now))
  row = {'1', '', '', '0', '', '', '', rule}
  touch(breaker_key, breakers_key, name, now, ttl)
elseif row[8] ~= rule then
  put(breaker_key, 'rule', rule)
end
local left = redis.call('PTTL', breaker_key)
if left >= 0 and left < ttl * 500 then
  touch(breaker_key, breakers_key, name, now, ttl)
end
if row[2] ~= 'open' then
  soft('ZREM', waiting_key, member)
  return {1, row[1], 0}
end
local till = tonumber(row[3] or '')
local in_hand = 0
if till and till <= now then
  if soft('HGET', trials_key, permit) then return {1, row[1], 1} end
  local held = soft('HGETALL', trials_key) or {}
  for i = 1, #held, 2 do
    if is_held(ns, claims_key, held[i + 1], now) then in_hand = in_hand + 1
    else redis.call('HDEL', trials_key, held[i]) end
  end
  if in_hand + (tonumber(row[4] or '') or 0) < tonumber(limit) then
    put(trials_key, permit, member .. '|' .. token)
    redis.call('EXPIRE', trials_key, ttl)
    soft('ZREM', waiting_key, member)
    return {1, row[1], 1}
  end
end
count_up(breaker_key, 'refused')
local again = till and math.max(till, now) + grace_s or now + 3600
if waits == '1' then
  drop_ended(waiting_key, ns)
  local before = line_up(waiting_key, member, now, ttl)
  if till and till > now and before < tonumber(limit) then again = till
  else again = again + before * gap_s end
end
return {
  0, stamp_of(again), redis.call('HGET', run_key, 'inbox') or '0', row[3] or '', row[5] or '',
  row[6] or '', row[7] or '',
}
