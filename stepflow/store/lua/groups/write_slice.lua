-- Write one slice of what belongs to a group; with the last one it begins. A manifest that nobody
-- finishes expires.
-- Caller: store/groups/moves.py write_slice, for engine/groups/submit.py.
-- Names: names: what member each key of it is; specs: what its members begin with; at: the number of the
-- slice; slices: of them in all; digest: of the whole manifest; submitting: the state; due_at: when
-- a worker looks whether the client has come to the end; fields: of a new group; name, spec: the slice.
-- Gives how many slices are written, also to a second arrival; -1 when another manifest has the
-- name.
--@ include lists
--@ keys group names specs groups due
--@ args group_id member digest at slices ttl_s submitting created due_at name spec fields*
local row = soft('HMGET', group_key, 'digest', 'written') or {}
if row[1] and row[1] ~= digest then return -1 end
local written = whole(row[2]) or 0
if row[1] and written ~= tonumber(at) then return written end
if not row[1] then
  if at ~= '0' then return 0 end
  redis.call('DEL', names_key, specs_key)
  set_fields(group_key, fields)
end
written = written + 1
redis.call('HSET', group_key, 'written', written)
redis.call('RPUSH', names_key, name)
redis.call('RPUSH', specs_key, spec)
local kept = {group_key, names_key, specs_key}
if written < tonumber(slices) then
  for _, key in ipairs(kept) do redis.call('EXPIRE', key, ttl_s) end
  return written
end
for _, key in ipairs(kept) do redis.call('PERSIST', key) end
redis.call('HSET', group_key, 'state', submitting)
redis.call('ZADD', groups_key, created, group_id)
redis.call('ZADD', due_key, due_at, member)
return written
