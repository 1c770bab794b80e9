-- Let the run stand at its present step until somebody resumes it.
-- Caller: store/runs.py pause_run, for worker/commit.py.
-- KEYS  1 run  2 data  3 steps  4 claims  5 held job  6 wip
-- ARGV  1 rev  2 token  3 step record that proves a second arrival  4 member  5 wip member  6 reason  7 run fields ...
--       then step records ...
-- Gives {1}, {2} for a second arrival, or {0, rev, token} when the run is not as the caller saw it.
--@ include total
--@ include fields
--@ include guard
local refused = refusal(KEYS[1], KEYS[3], KEYS[4], ARGV[1], ARGV[2], ARGV[3], '', '')
if refused then return refused end
set_fields(KEYS[3], set_fields(KEYS[1], 7))
put(KEYS[2], 'reason', ARGV[6])
redis.call('ZREM', KEYS[4], ARGV[4])
soft('ZREM', KEYS[6], ARGV[5])
redis.call('DEL', KEYS[5])
return {1}
