-- Give the worker back: step n is closed, the run stands until its due time or its inbox wakes it. It costs no RQ job.
-- Caller: store/runs.py park_run, for worker/commit.py.
-- KEYS  1 run  2 data  3 steps  4 memo  5 claims  6 held job  7 wip  8 due  9 wake
-- ARGV  1 rev  2 token  3 step record that proves a second arrival  4 inbox seen, or ''  5 member  6 wip member
--       7 due or ''  8 what its signals must look like, or ''  9 run fields ...  then step records ...
-- Gives {1}, {2} for a second arrival, {3} when the inbox holds what the step has not seen, or {0, rev, token}.
--@ include total
--@ include fields
--@ include guard
--@ include enqueue
local refused = refusal(KEYS[1], KEYS[3], '', ARGV[1], ARGV[2], ARGV[3], '', '')
if refused then return refused end
if ARGV[4] ~= '' and (redis.call('HGET', KEYS[1], 'inbox') or '0') ~= ARGV[4] then return {3} end
set_fields(KEYS[3], set_fields(KEYS[1], 9))
if ARGV[8] ~= '' then put(KEYS[2], 'expects', ARGV[8]) else soft('HDEL', KEYS[2], 'expects') end
redis.call('DEL', KEYS[4], KEYS[6])
redis.call('ZREM', KEYS[5], ARGV[5])
soft('ZREM', KEYS[7], ARGV[6])
if ARGV[7] ~= '' then delay(KEYS[8], '', KEYS[9], '', ARGV[5], ARGV[7], false) end
return {1}
