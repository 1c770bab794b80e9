-- The worker that closed a step keeps the run: step n is closed and step n+1 is its own, in one write.
-- Nothing of RQ's changes: one job stands for the whole hold.
-- Caller: store/runs.py keep_step, for worker/commit.py.
-- KEYS  1 run  2 data  3 steps  4 kv  5 memo  then lists whose lengths are wanted
-- ARGV  1 rev  2 token  3 number of the step  4 its record, which begins with the token  5 payload  6 drop memo 1/0
--       7 effects deleted ...  then effects written ...  run fields ...
-- Gives {1, length ...}, {2} for a second arrival, or {0, rev, token} when the run is not as the worker saw it.
--@ include total
--@ include fields
--@ include guard
local refused = refusal(KEYS[1], KEYS[3], '', ARGV[1], ARGV[2], ARGV[3], '', '')
if refused then return refused end
local gone = tonumber(ARGV[7])
if gone > 0 then soft('HDEL', KEYS[4], unpack(ARGV, 8, 7 + gone)) end
set_fields(KEYS[1], set_fields(KEYS[4], 8 + gone))
put(KEYS[2], 'payload', ARGV[5])
put(KEYS[3], ARGV[3], ARGV[4])
if ARGV[6] == '1' then redis.call('DEL', KEYS[5]) end
local answer = {1}
for i = 6, #KEYS do answer[i - 4] = soft('LLEN', KEYS[i]) or 0 end
return answer
