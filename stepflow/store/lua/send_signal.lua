-- Put a signal into the run's mailbox and wake the run if it is parked on that; a running one is told.
-- Caller: store/journal.py send_signal, for engine/signal.py.
-- KEYS  1 run  2 mailbox  3 sent ids  4 job  5 list  6 pending  7 wake  8 due  9 scheduled
-- ARGV  1 id of this signal  2 item  3 most items  4 member  5 now  6 rq time  7 namespace  8 rq queue  9 pending state
--       10 start of the channels' names  11 message
-- Gives 'delivered', 'buffered', 'full', 'ended' or 'unknown'; the same id again is answered as the first time.
--@ include _job
--@ include _knock
local row = redis.call('HMGET', KEYS[1], 'rev', 'ended', 'parked', 'token', 'delivery')
if not row[1] then return 'unknown' end
if row[2] and row[2] ~= '' then return 'ended' end
local answered = redis.call('HGET', KEYS[3], ARGV[1])
if answered then return answered end
if redis.call('LLEN', KEYS[2]) >= tonumber(ARGV[3]) then return 'full' end
redis.call('RPUSH', KEYS[2], ARGV[2])
redis.call('HINCRBY', KEYS[1], 'inbox', 1)
local answer = 'buffered'
if row[3] == 'inbox' and row[5] ~= '' then
  answer = 'delivered'
  redis.call('HSET', KEYS[1], 'rev', row[1] + 1, 'state', ARGV[9], 'parked', '', 'due', '')
  redis.call('ZREM', KEYS[8], ARGV[4])
  redis.call('ZREM', KEYS[9], row[5])
  write_job('rq:job:' .. row[5], row[5], ARGV[7], 'run_step', ARGV[8], 'queued', ARGV[6])
  knock(KEYS[5], KEYS[6], KEYS[7], row[5], ARGV[4], ARGV[5])
elseif row[4] and row[4] ~= '' then
  answer = 'delivered'
  redis.call('PUBLISH', ARGV[10] .. string.match(row[4], '^[^.]+'), ARGV[11])
end
redis.call('HSET', KEYS[3], ARGV[1], answer)
return answer
