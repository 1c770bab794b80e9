-- Drop some shared values of a name; who computes one meanwhile goes on.
-- Caller: store/shared/values.py drop_shared, for engine/shared/.
-- Names: start: of the keys of values; digests: of those to drop.
-- Gives how many there were.
--@ include lists
--@ keys index names
--@ args name start digests*
local dropped = 0
for _, digest in ipairs(table_of(digests)) do
  dropped = dropped + (soft('HDEL', start .. digest, 'value', 'until') or 0)
  redis.call('ZREM', index_key, digest)
end
if (soft('ZCARD', index_key) or 0) == 0 then redis.call('ZREM', names_key, name) end
return math.ceil(dropped / 2)
