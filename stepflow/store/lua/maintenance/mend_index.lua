-- Put a member back into an index that its record says it stands in, or take one out whose record
-- is gone.
-- Caller: store/evidence/whole.py put_back, take_out, for engine/doctor. Safe to repeat.
-- Names: record: of the run or hook; rev: at which the caller saw it, '' for one that was gone;
-- member: '' for the whole key index, which then goes; score: or '' where rev is ''.
-- Gives 1 mended, 0 when it was mended before, or the record is not as the caller saw it.
--@ include total
--@ keys record index
--@ args rev member score
if rev == '' then
  if redis.call('EXISTS', record_key) == 1 then return 0 end
  if member == '' then return redis.call('DEL', index_key) end
  return soft('ZREM', index_key, member) or 0
end
if soft('HGET', record_key, 'rev') ~= rev then return 0 end
return redis.call('ZADD', index_key, 'NX', score, member)
