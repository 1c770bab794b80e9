-- Give the keys of a run the time to live that goes with its record: none while it lives, some once
-- it has ended.
-- Caller: store/evidence/whole.py mend_ttl, for engine/doctor. Safe to repeat.
-- Names: ended: as the record had it, '' for a live run; ttl_s: for one that has ended.
-- Gives how many of the keys it changed; none when the run has ended, or was retried, since.
--@ include total
--@ keys record mended*
--@ args ended ttl_s
local row = soft('HMGET', record_key, 'rev', 'ended')
if not row or not row[1] or (row[2] or '') ~= ended then return 0 end
local count = 0
for _, key in ipairs(mended_keys) do
  if ended == '' then count = count + redis.call('PERSIST', key)
  elseif redis.call('PTTL', key) == -1 then count = count + redis.call('EXPIRE', key, ttl_s) end
end
return count
