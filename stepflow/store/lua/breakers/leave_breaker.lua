-- Take a run out of those that wait for a circuit breaker: nobody wants the call that it waited with.
-- Where it was among those that come back for the next trial, those look anew that are so now.
-- Caller: store/breakers/permits.py leave_breaker, for worker/runtime/permits.py. Safe to repeat.
-- Names: given: now, or ''; member, token: of the run and its claim; limit: of trials at once; due:
-- of the due set.
-- Gives 1, or 0 when it does not wait, or the claim is another worker's.
--@ include total clock waiting/waiters
--@ keys run waiting due
--@ args given ns member token limit rq_time pending channels waits_for
if soft('HGET', run_key, 'token') ~= token then return 0 end
local before = soft('ZRANK', waiting_key, member)
if not before then return 0 end
redis.call('ZREM', waiting_key, member)
if before < tonumber(limit) then
  stir_waiters(waiting_key, tonumber(limit), {
    ns = ns, due = due_key, now = stamp_of(clock(given)), rq_time = rq_time, state = pending,
    channels = channels, waits_for = waits_for,
  })
end
return 1
