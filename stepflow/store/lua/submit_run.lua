-- Make a run, its step 0 and the RQ job that knocks for it: all, or nothing where the run id is taken.
-- Caller: store/runs.py submit_run.
-- KEYS  1 run  2 data  3 steps  4 memo  5 kv  6 job  7 list  8 pending  9 wake  10 rq:queues  11 live  12 runner index
--       13 deadlines  14 due  15 scheduled  16 done index (of the generation before)  17 expiry
--       18 runner index of the generation before  19 journal  20 mailbox  21 sent ids
--       of a fork: 22 journal of the run it is forked from
-- ARGV  1 request id  2 rev of an ended run to replace, or ''  3 member  4 run id  5 created  6 due or ''  7 rq id
--       8 rq queue  9 rq time  10 namespace  11 deadline or ''  12 brief delay 1/0  13 expiry member to remove or ''
--       14 run fields ...  then data fields ...  of a fork: n entries to begin with, the entry that follows them there
-- Gives {1} made (also to the second arrival of the same request), or {0, the fields of the run that is there}; these
-- are none when the other journal is not as the fork's caller saw it.
--@ include _fields
--@ include _job
--@ include _knock
local run, member, created, due, id, queue = KEYS[1], ARGV[3], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local row = redis.call('HMGET', run, 'rev', 'req')
if row[1] then
  if row[2] == ARGV[1] then return {1} end
  if row[1] ~= ARGV[2] then return {0, redis.call('HGETALL', run)} end
  redis.call('DEL', run, KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[19], KEYS[20], KEYS[21])
  redis.call('ZREM', KEYS[16], ARGV[4])
  redis.call('ZREM', KEYS[18], ARGV[4])
  if ARGV[13] ~= '' then redis.call('ZREM', KEYS[17], ARGV[13]) end
end
local at = 14
if KEYS[22] then
  local n = tonumber(ARGV[#ARGV - 1])
  if redis.call('LINDEX', KEYS[22], n) ~= ARGV[#ARGV] then return {0, {}} end
  redis.call('DEL', KEYS[19])
  if n > 0 then
    redis.call('COPY', KEYS[22], KEYS[19])
    redis.call('LTRIM', KEYS[19], 0, n - 1)
    redis.call('PERSIST', KEYS[19])
  end
end
at = set_fields(run, at)
set_fields(KEYS[2], at)
redis.call('ZADD', KEYS[11], created, ARGV[4])
redis.call('ZADD', KEYS[12], created, ARGV[4])
redis.call('SADD', KEYS[10], KEYS[7])
if ARGV[11] ~= '' then redis.call('ZADD', KEYS[13], ARGV[11], ARGV[4]) end
if due == '' then
  write_job(KEYS[6], id, ARGV[10], 'run_step', queue, 'queued', ARGV[9])
  knock(KEYS[7], KEYS[8], KEYS[9], id, member, created)
else
  if ARGV[12] == '1' then write_job(KEYS[6], id, ARGV[10], 'run_step', queue, 'scheduled', ARGV[9]) end
  delay(KEYS[14], KEYS[15], KEYS[9], id, member, due, ARGV[12] == '1')
end
return {1}
