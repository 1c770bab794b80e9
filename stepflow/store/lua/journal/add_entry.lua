-- Add one entry to the run's journal under the claim; leaves rev alone, so many steps may write in one pipeline.
-- The caller says which entry this is: a second arrival finds it there and is answered as the first.
-- Caller: store/journal.py add_entry, for the flow kit.
-- KEYS  1 run  2 journal
-- ARGV  1 token  2 index of the entry  3 entry  4 what the run has left to do from now on, or ''
-- Gives 1 written, 0 refused: the claim is not the caller's any more, or another has written there.
local row = redis.call('HMGET', KEYS[1], 'token', 'crashes')
if row[1] ~= ARGV[1] then return 0 end
local length, index = redis.call('LLEN', KEYS[2]), tonumber(ARGV[2])
if length > index then return redis.call('LINDEX', KEYS[2], index) == ARGV[3] and 1 or 0 end
if length < index then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[3])
if index == 0 then redis.call('HSET', KEYS[1], 'journal', '1') end
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'cleanup', ARGV[4]) end
if row[2] and row[2] ~= '0' then redis.call('HSET', KEYS[1], 'crashes', '0') end
return 1
