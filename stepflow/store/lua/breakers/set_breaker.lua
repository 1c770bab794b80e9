-- Open or close a circuit breaker by hand, or have it count from 0.
-- Caller: store/breakers/steer.py set_breaker, for engine/breakers/.
-- Names: given: now, or ''; verb: 'open', 'close' or 'reset', which closes it and counts from 0;
-- till: of one that is opened, or ''; request: of this call; count: of waiters that come back at once.
-- Gives 1, also to a second arrival, 0 when there is no such breaker.
--@ include total clock waiting/waiters waiting/breaker
--@ keys breaker breakers trials failed waiting due
--@ args given ns name verb till by note request count rq_time pending channels waits_for ttl
local row = soft('HMGET', breaker_key, 'epoch', 'request', 'state')
if not row or not row[1] then
  if verb ~= 'open' then return 0 end
  redis.call('DEL', breaker_key)
  row = {}
end
if row[2] == request then return 1 end
local now = clock(given)
local was_open = row[3] == 'open'
turn(breaker_key, trials_key, failed_key, 'state', verb == 'open' and 'open' or '', 'since',
  stamp_of(now), 'until', till, 'failures', '', 'error', '', 'by', by, 'note', note, 'request',
  request)
if verb == 'reset' then redis.call('HDEL', breaker_key, 'refused', 'opened', 'closed')
elseif verb == 'open' then if not was_open then count_up(breaker_key, 'opened') end
elseif was_open then count_up(breaker_key, 'closed') end
-- without an end it stands until somebody closes it
touch(breaker_key, breakers_key, name, now, ttl, verb == 'open' and till == '')
if verb ~= 'open' then
  wake_waiters(waiting_key, tonumber(count), {
    ns = ns, due = due_key, now = stamp_of(now), rq_time = rq_time, state = pending,
    channels = channels, waits_for = waits_for,
  })
end
return 1
