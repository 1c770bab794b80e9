-- Take an ended run away, all that it kept and its places in the indexes, in one write. Not while a
-- hook of it is to be delivered or a child of it lives.
-- Caller: store/steering/deletion.py delete_run, for engine/steering/delete.py.
-- Names: notes: where ends are noted for hooks that nobody has announced; ended: the indexes that it
-- stands in; kept: all keys of the run but its record; children: its lists of live children; hook:
-- the records of its deliveries, and hooks their ids; noted: the notes of its ends.
-- Gives {1}, {2} when there is no such run, also to a second arrival, {0} when the run is not as the
-- caller saw it, or a note of it is gone, {3, id} of a hook that is to be delivered, {4} for
-- children.
--@ include lists
--@ include indexes/tags
--@ keys run data notes live_hooks dead_hooks expiry ended* kept* children* hook*
--@ args ns rev run_id expiry_member delivered dead hooks* noted*
if redis.call('EXISTS', run_key) == 0 then return {2} end
local row = soft('HMGET', run_key, 'rev') or {}
if row[1] ~= rev then return {0} end
for _, children in ipairs(children_keys) do
  if (soft('SCARD', children) or 0) > 0 then return {4} end
end
local ids, notes = table_of(hooks), table_of(noted)
for i, hook in ipairs(hook_keys) do
  local state = soft('HGET', hook, 'state')
  if state and state ~= delivered and state ~= dead then return {3, ids[i]} end
end
for _, note in ipairs(notes) do
  if not soft('ZSCORE', notes_key, note) then return {0} end
end
local tags = tags_of(data_key)
for _, key in ipairs(kept_keys) do redis.call('UNLINK', key) end
for _, key in ipairs(hook_keys) do redis.call('UNLINK', key) end
for _, note in ipairs(notes) do soft('ZREM', notes_key, note) end
for _, id in ipairs(ids) do
  soft('ZREM', live_hooks_key, id)
  soft('ZREM', dead_hooks_key, id)
end
for _, index in ipairs(ended_keys) do soft('ZREM', index, run_id) end
soft('ZREM', expiry_key, expiring(expiry_member, tags))
drop_tags(ns, tags, run_id)
redis.call('UNLINK', run_key)
return {1}
