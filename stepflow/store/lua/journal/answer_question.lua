-- Answer a question, once, and wake the run if it is parked on that; a running one is notified.
-- Caller: store/questions.py answer_question, for engine/questions.py.
-- Names: digest: of the question; outcome: what becomes of it by this call; answer: packed.
-- Gives what became of the question: the caller's own outcome when it is answered by this call,
-- also sent twice; '' when there is no such question.
--@ include total
--@ include question
--@ include wake
--@ keys run questions replies questions_index list queued_at wake due scheduled
--@ args digest outcome answer run_id member now rq_time ns queue pending channels message
local before = soft('HGET', replies_key, digest)
if before then return before end
local row = redis.call('HMGET', run_key, 'rev', 'parked', 'token', 'delivery', 'ended',
  'lane')
if not row[1] or (row[5] and row[5] ~= '') then return '' end
if not shut_question(questions_key, replies_key, questions_index_key, digest, outcome, run_id) then
  return ''
end
redis.call('HSET', replies_key, digest .. '=', answer)
wake(run_key, row, member, {
  list = list_key, queued_at = queued_at_key, wake = wake_key, due = due_key,
  scheduled = scheduled_key, now = now, rq_time = rq_time, ns = ns, queue = queue,
  state = pending, channels = channels, message = message, lane = row[6],
})
return outcome
