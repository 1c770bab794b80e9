-- Give the run back to its queue, or to the due set: after a Continue that is not kept, a retry, a recovery.
-- Caller: store/runs.py hand_over, for worker/commit.py, recover.py and signal.py.
-- KEYS  1 run  2 data  3 steps  4 kv  5 memo  6 claims  7 held job  8 wip  9 job  10 list  11 queued_at  12 wake
--       13 due  14 scheduled  15 journal  16 asks  17 replies  18 index of asks
-- ARGV  1 rev  2 token or ''  3 step record that proves a second arrival, or request id  4 lapsed or ''  5 member
--       6 wip member  7 rq id  8 due or ''  9 now  10 rq time  11 namespace  12 rq queue  13 brief delay 1/0
--       14 drop memo 1/0  15 first entry of a new history, or ''  16 effects deleted ...  then effects written ...
--       run fields ...  data fields ...  step records ...
-- Gives {1}, {2} for a second arrival, or {0, rev, token} when the run is not as the caller saw it.
--@ include total
--@ include fields
--@ include guard
--@ include job
--@ include enqueue
local refused = refusal(KEYS[1], KEYS[3], KEYS[6], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
if refused then return refused end
local member, id, due, queue = ARGV[5], ARGV[7], ARGV[8], ARGV[12]
if ARGV[15] ~= '' then
  redis.call('DEL', KEYS[3], KEYS[15], KEYS[16], KEYS[17])
  redis.call('ZREM', KEYS[18], string.sub(member, 5))
  redis.call('RPUSH', KEYS[15], ARGV[15])
end
local gone = tonumber(ARGV[16])
if gone > 0 then soft('HDEL', KEYS[4], unpack(ARGV, 17, 16 + gone)) end
set_fields(KEYS[3], set_fields(KEYS[2], set_fields(KEYS[1], set_fields(KEYS[4], 17 + gone))))
if ARGV[14] == '1' then redis.call('DEL', KEYS[5]) end
redis.call('ZREM', KEYS[6], member)
soft('ZREM', KEYS[8], ARGV[6])
soft('ZREM', KEYS[11], member)
if ARGV[2] == '' then
  redis.call('ZREM', KEYS[13], member)
  soft('ZREM', KEYS[14], string.sub(KEYS[7], 8))
end
redis.call('DEL', KEYS[7])
if due == '' then
  write_job(KEYS[9], id, ARGV[11], 'run_step', queue, 'queued', ARGV[10])
  enqueue(KEYS[10], KEYS[11], KEYS[12], id, member, ARGV[9])
else
  if ARGV[13] == '1' then write_job(KEYS[9], id, ARGV[11], 'run_step', queue, 'scheduled', ARGV[10]) end
  delay(KEYS[13], KEYS[14], KEYS[12], id, member, due, ARGV[13] == '1')
end
return {1}
