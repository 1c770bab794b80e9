-- Take an ended run up again: its keys live on, its index entries move, its last step is handed over.
-- Caller: store/runs.py retry_run, for engine/retry.py.
-- KEYS  1 run  2 data  3 steps  4 kv  5 job  6 list  7 queued_at  8 wake  9 live  10 done index  11 expiry
--       12 journal  13 mailbox  14 sent ids  15 variables  16 asks  17 replies  18 memo  19 children  20 answers  21 maps
-- ARGV  1 rev  2 request id  3 run id  4 member  5 created  6 rq id  7 now  8 rq time  9 namespace  10 rq queue
--       11 expiry member  12 journal entries to forget ...  then run fields ...
-- Gives {1}, {2} for a second arrival, or {0, rev, token} when the run is not as the caller saw it.
--@ include total
--@ include fields
--@ include guard
--@ include job
--@ include enqueue
local refused = refusal(KEYS[1], '', '', ARGV[1], '', ARGV[2], '', '')
if refused then return refused end
local forgotten = tonumber(ARGV[12])
for i = 13, 12 + forgotten do redis.call('LREM', KEYS[12], -1, ARGV[i]) end
set_fields(KEYS[1], 13 + forgotten)
soft('HDEL', KEYS[2], 'result', 'error', 'reason')
for i = 1, 4 do redis.call('PERSIST', KEYS[i]) end
for i = 12, 21 do redis.call('PERSIST', KEYS[i]) end
redis.call('ZREM', KEYS[10], ARGV[3])
redis.call('ZREM', KEYS[11], ARGV[11])
redis.call('ZADD', KEYS[9], ARGV[5], ARGV[3])
write_job(KEYS[5], ARGV[6], ARGV[9], 'run_step', ARGV[10], 'queued', ARGV[8])
enqueue(KEYS[6], KEYS[7], KEYS[8], ARGV[6], ARGV[4], ARGV[7])
return {1}
