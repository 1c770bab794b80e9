-- Put a signal into the run's mailbox and wake the run if it is parked on that; a running one is told. A long payload is kept
-- beside the ids, its item in the mailbox points to it: who looks for a name loads none of them.
-- Caller: store/journal.py send_signal, for engine/signal.py.
-- KEYS  1 run  2 mailbox  3 sent ids  4 job  5 list  6 queued_at  7 wake  8 due  9 scheduled
-- ARGV  1 id of this signal  2 item  3 most items  4 member  5 now  6 rq time  7 namespace  8 rq queue  9 pending state
--       10 start of the channels' names  11 message  12 most bytes  13 most ids  14 bytes of a long item
-- Gives 'delivered', 'buffered', 'full' of items, 'heavy' with bytes, 'ended' or 'unknown'; the same id again is answered as
-- the first time, while it is among the newest. 'moved' when the run was restarted on another queue since the caller looked,
-- and nothing is written.
--@ include total
--@ include job
--@ include enqueue
--@ include publish
--@ include wake
--@ include mailbox
local row = redis.call('HMGET', KEYS[1], 'rev', 'parked', 'token', 'delivery', 'ended', 'queue', 'mailed')
if not row[1] then return 'unknown' end
if row[5] and row[5] ~= '' then return 'ended' end
local answered = soft('HGET', KEYS[3], ARGV[1])
if answered then return answered end
if row[6] ~= ARGV[8] then return 'moved' end
local length = soft('LLEN', KEYS[2])
if not length then redis.call('DEL', KEYS[2]) end -- no mailbox of ours
if (length or 0) >= tonumber(ARGV[3]) then return 'full' end
if (tonumber(row[7]) or 0) + #ARGV[2] > tonumber(ARGV[12]) then return 'heavy' end
put_mail(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2], tonumber(ARGV[14]))
local told = wake(KEYS[1], row, ARGV[4], {
  list = KEYS[5], queued_at = KEYS[6], wake = KEYS[7], due = KEYS[8], scheduled = KEYS[9], now = ARGV[5], rq_time = ARGV[6],
  ns = ARGV[7], queue = ARGV[8], state = ARGV[9], channels = ARGV[10], message = ARGV[11],
})
local answer = told and 'delivered' or 'buffered'
note_sent(KEYS[3], ARGV[1], answer, tonumber(ARGV[13]))
return answer
