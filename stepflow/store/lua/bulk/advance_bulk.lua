-- Write how far a bulk has come, or that it stops. What it selected goes once it is through.
-- Caller: store/steering/bulk.py advance_bulk, for engine/steering/carry_bulk.py.
-- Names: runs: what it has selected, by when each was made; selected: score, id, score, id ...;
-- ttl_s: of a record that needs no worker any more, else ''; is_over: 1 or 0.
-- Gives 1 written, also to a second arrival, 0 when the record is not as the caller saw it.
--@ include lists
--@ keys bulk runs
--@ args rev request ttl_s is_over fields* selected*
local row = redis.call('HMGET', bulk_key, 'rev', 'request')
if row[2] == request then return 1 end
if row[1] ~= rev then return 0 end
set_fields(bulk_key, fields)
redis.call('HSET', bulk_key, 'request', request)
local scored = table_of(selected)
if scored[1] then redis.call('ZADD', runs_key, unpack(scored)) end
if is_over == '1' then redis.call('UNLINK', runs_key) end
if ttl_s ~= '' then
  redis.call('EXPIRE', bulk_key, ttl_s)
  redis.call('EXPIRE', runs_key, ttl_s)
end
return 1
