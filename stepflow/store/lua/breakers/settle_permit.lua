-- Give a permit of a circuit breaker back, with what its call has come to.
-- Caller: store/breakers/permits.py settle_permit, for worker/runtime/permits.py.
-- Names: given: now, or ''; verdict: 'good', 'bad', or '' for nothing that counts; error: `Type:
-- message` of a bad one; most: failures in a row that open it; limit: of trials; due: of the due set.
-- Each call that goes well through a closed breaker lets two more come back that wait, one that does
-- not lets one: so they come the faster the better it goes, and never all at once. A trial that fails
-- has as many look anew as there are trials, at the time of the next one.
-- Gives 'opened', 'closed', 'kept', or 'late' for a permit of an earlier epoch; a second arrival of
-- a failure or a trial changes nothing.
--@ include total clock waiting/waiters waiting/breaker
--@ keys breaker trials failed waiting due
--@ args given ns permit epoch is_trial verdict error most limit reset_s rq_time pending
--@      channels waits_for ttl
local now = clock(given)
local row = soft('HMGET', breaker_key, 'epoch', 'state', 'won')
if not row or row[1] ~= epoch then return 'late' end
local to = {
  ns = ns, due = due_key, now = stamp_of(now), rq_time = rq_time, state = pending,
  channels = channels, waits_for = waits_for,
}
local function open(failures)
  turn(breaker_key, trials_key, failed_key, 'state', 'open', 'since', stamp_of(now), 'until',
    stamp_of(now + reset_s), 'failures', failures, 'error', error, 'by', '')
  count_up(breaker_key, 'opened')
end

if is_trial == '1' then
  if soft('HDEL', trials_key, permit) ~= 1 then return 'late' end
  if verdict == 'bad' then
    open(1)
    stir_waiters(waiting_key, tonumber(limit), to)
    return 'opened'
  end
  if verdict == '' then
    wake_waiters(waiting_key, 1, to)
    return 'kept'
  end
  local won = redis.call('HINCRBY', breaker_key, 'won', 1)
  if won < tonumber(limit) then return 'kept' end
  turn(breaker_key, trials_key, failed_key, 'state', '', 'since', stamp_of(now), 'until', '',
    'failures', '', 'by', '')
  count_up(breaker_key, 'closed')
  wake_waiters(waiting_key, 2, to)
  return 'closed'
end
if verdict == 'good' then redis.call('DEL', failed_key) end
if verdict == 'bad' then
  if soft('SADD', failed_key, permit) == nil then redis.call('DEL', failed_key) end
  redis.call('EXPIRE', failed_key, ttl)
  local failures = soft('SCARD', failed_key) or 0
  if failures >= tonumber(most) then
    open(failures)
    return 'opened'
  end
end
wake_waiters(waiting_key, verdict == 'good' and 2 or 1, to)
return 'kept'
