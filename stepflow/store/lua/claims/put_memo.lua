-- Write one memo value under the claim; progress, so the count of crashes starts again.
-- Caller: store/claims.py put_memo.
-- KEYS  1 run  2 memo
-- ARGV  1 token  2 step  3 field  4 value
-- Gives 1 written, 0 refused: the claim or the step is not the caller's any more.
--@ include total
local row = redis.call('HMGET', KEYS[1], 'token', 'step', 'crashes')
if row[1] ~= ARGV[1] or (row[2] or '0') ~= ARGV[2] then return 0 end
put(KEYS[2], ARGV[3], ARGV[4])
if row[3] and row[3] ~= '0' then redis.call('HSET', KEYS[1], 'crashes', '0') end
return 1
