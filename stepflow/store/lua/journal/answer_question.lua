-- Answer an ask, once, and wake the run if it is parked on that; a running one is told.
-- Caller: store/questions.py answer_question, for engine/questions.py.
-- KEYS  1 run  2 asks  3 replies  4 index of asks  5 list  6 queued_at  7 wake  8 due  9 scheduled
-- ARGV  1 digest  2 mark  3 packed answer  4 run id  5 member  6 now  7 rq time  8 namespace  9 rq queue
--       10 pending state  11 start of the channels' names  12 message
-- Gives the mark of what became of the ask: the caller's own when it is answered by this call, also sent twice; '' when
-- there is no such ask.
--@ include total
--@ include question
--@ include job
--@ include enqueue
--@ include publish
--@ include wake
local before = soft('HGET', KEYS[3], ARGV[1])
if before then return before end
local row = redis.call('HMGET', KEYS[1], 'rev', 'parked', 'token', 'delivery', 'ended')
if not row[1] or (row[5] and row[5] ~= '') then return '' end
if not shut_question(KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[2], ARGV[4]) then return '' end
redis.call('HSET', KEYS[3], ARGV[1] .. '=', ARGV[3])
wake(KEYS[1], row, ARGV[5], {
  list = KEYS[5], queued_at = KEYS[6], wake = KEYS[7], due = KEYS[8], scheduled = KEYS[9], now = ARGV[6], rq_time = ARGV[7],
  ns = ARGV[8], queue = ARGV[9], state = ARGV[10], channels = ARGV[11], message = ARGV[12],
})
return ARGV[2]
