-- Leave a run where it is and write a wish into its record: its worker is told, its token fires.
-- Caller: store/runs.py mark_run, for engine/cancel.py.
-- KEYS  1 run  2 deadlines
-- ARGV  1 rev  2 request id  3 run id  4 when to look again, or ''  5 channel of the worker  6 message  7 run fields ...
-- Gives {1}, {2} for a second arrival, or {0, rev, token} when the run is not as the caller saw it.
--@ include total
--@ include fields
--@ include guard
--@ include publish
local refused = refusal(KEYS[1], '', '', ARGV[1], '', ARGV[2], '', '')
if refused then return refused end
set_fields(KEYS[1], 7)
if ARGV[4] ~= '' then redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3]) else redis.call('ZREM', KEYS[2], ARGV[3]) end
publish(ARGV[5], ARGV[6])
return {1}
