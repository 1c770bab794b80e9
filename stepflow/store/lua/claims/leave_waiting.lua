-- Take a run out of those that wait for what other runs do: nobody wants the step that it waited with.
-- Where it was among the first, which are counted on, those look anew that are first now; and where it
-- does not stand there any more it was told that there is room, and another one looks in its place.
-- Caller: store/waiting.py leave_waiting, for worker/runtime/waits.py. Safe to repeat.
-- Names: given: now, or ''; member, token: of the run and its claim; first: how many are counted on;
-- waiting: the sets in which it waits; due: of the due set.
-- Gives 1, or 0 when the claim is another worker's.
--@ include total clock waiting/waiters
--@ keys run due waiting*
--@ args given ns member token first rq_time pending channels waits_for
if soft('HGET', run_key, 'token') ~= token then return 0 end
for _, waiting in ipairs(waiting_keys) do
  local before = soft('ZRANK', waiting, member)
  if before then redis.call('ZREM', waiting, member) end
  if not before or before < tonumber(first) then
    stir_waiters(waiting, math.max(1, tonumber(first)), {
      ns = ns, due = due_key, now = stamp_of(clock(given)), rq_time = rq_time, state = pending,
      channels = channels, waits_for = waits_for,
    })
  end
end
return 1
