-- Write one memo value under the claim. That is progress, so the count of crashes starts again.
-- Caller: store/claims.py put_memo.
-- Gives 1 written, 0 refused: the claim or the step is not the caller's any more.
--@ include total
--@ keys run memo
--@ args token step field value
local row = redis.call('HMGET', run_key, 'token', 'step', 'crashes')
if row[1] ~= token or (row[2] or '0') ~= step then return 0 end
put(memo_key, field, value)
if row[3] and row[3] ~= '0' then redis.call('HSET', run_key, 'crashes', '0') end
return 1
