-- Add one entry to the run's journal under the claim; leaves rev alone, so many steps may write in
-- one pipeline. The caller says which entry this is: a second arrival finds it there and is
-- answered as the first.
-- Caller: store/journal.py add_entry, for the flow kit.
-- Names: cleanup: what the run has left to do from now on, or ''.
-- Gives 1 written, 0 refused: the claim is not the caller's any more, or another has written there.
--@ keys run journal
--@ args token index entry cleanup
local row = redis.call('HMGET', run_key, 'token', 'crashes')
if row[1] ~= token then return 0 end
local length, at = redis.call('LLEN', journal_key), tonumber(index)
if length > at then return redis.call('LINDEX', journal_key, at) == entry and 1 or 0 end
if length < at then return 0 end
redis.call('RPUSH', journal_key, entry)
if at == 0 then redis.call('HSET', run_key, 'journal', '1') end
if cleanup ~= '' then redis.call('HSET', run_key, 'cleanup', cleanup) end
if row[2] and row[2] ~= '0' then redis.call('HSET', run_key, 'crashes', '0') end
return 1
