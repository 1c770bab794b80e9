-- Inserted by those that add an entry to a journal, whose names it uses: `add_entry` says what they
-- are. It goes on where the entry was written now.
local row = redis.call('HMGET', run_key, 'token', 'crashes')
if row[1] ~= token then return 0 end
local length, at = redis.call('LLEN', journal_key), tonumber(index)
if length > at then return redis.call('LINDEX', journal_key, at) == entry and 1 or 0 end
if length < at then return 0 end
redis.call('RPUSH', journal_key, entry)
if at == 0 then redis.call('HSET', run_key, 'journal', '1') end
if cleanup ~= '' then redis.call('HSET', run_key, 'cleanup', cleanup) end
if row[2] and row[2] ~= '0' then redis.call('HSET', run_key, 'crashes', '0') end
