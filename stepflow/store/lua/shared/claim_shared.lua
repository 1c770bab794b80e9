-- Give a shared value, or the right to compute it; while another run computes it, this one waits.
-- Caller: store/shared/values.py claim_shared, for worker/runtime/shared.py.
-- Names: given: now, or ''; claim: of this call; member, token: of the run and its claim; grace_s,
-- gap_s: when those that wait look for themselves, and how far apart; due: of the due set; ttl: of
-- the record while it has no value.
-- Gives {1, value}, {2} for whoever is to compute it, also to a second arrival, or {0, when to ask
-- again, what was put into the run's inbox so far}. Whoever is given the value lets two more look.
--@ include total clock waiting/holders waiting/waiters
--@ keys value waiting run claims due
--@ args given ns claim member token grace_s gap_s ttl rq_time pending channels waits_for
local now = clock(given)
local row = soft('HMGET', value_key, 'value', 'until', 'claim', 'holder')
if not row then
  redis.call('DEL', value_key)
  row = {}
end
if row[1] and (tonumber(row[2] or '') or 0) > now then
  soft('ZREM', waiting_key, member)
  wake_waiters(waiting_key, 2, {
    ns = ns, due = due_key, now = stamp_of(now), rq_time = rq_time, state = pending,
    channels = channels, waits_for = waits_for,
  })
  return {1, row[1]}
end
if row[3] == claim then return {2} end
if row[3] and is_held(ns, claims_key, row[4], now) then
  drop_ended(waiting_key, ns)
  local before = line_up(waiting_key, member, now, ttl)
  return {0, stamp_of(now + grace_s + before * gap_s), redis.call('HGET', run_key, 'inbox') or '0'}
end
put(value_key, 'claim', claim, 'holder', member .. '|' .. token)
redis.call('EXPIRE', value_key, ttl)
soft('ZREM', waiting_key, member)
return {2}
