-- Write how far a group has come, what it does next, or its end with the deliveries of its hooks.
-- Caller: store/groups/moves.py advance_group, for engine/groups/.
-- Names: rev: of the record that the caller saw; due_at: when to look at it again, '' for not before
-- its members settle it; ttl_s: of a group that has ended, else ''; drops_specs: 1 when all members
-- have begun, or will not; hook, hooks: as lib/hook has them; channel: of those who wait.
-- Gives 1 written, also to a second arrival, 0 when the record is not as the caller saw it, or a
-- member of a group that is to end lives.
--@ include lists
--@ include hook
--@ include publish
--@ include groups/count
--@ keys group names specs begun group_live group_failed due group_wake
--@      list queued_at wake live_hooks rq_queues hook*
--@ args rev request member due_at ttl_s drops_specs now rq_time ns queue channel message
--@      fields* hooks*
local row = soft('HMGET', group_key, 'rev', 'request') or {}
if row[2] == request then return 1 end
if row[1] ~= rev or (ttl_s ~= '' and (soft('ZCARD', group_live_key) or 0) > 0) then return 0 end
set_fields(group_key, fields)
redis.call('HSET', group_key, 'request', request)
if drops_specs == '1' then redis.call('UNLINK', specs_key) end
local kept = {group_key, names_key, begun_key, group_live_key, group_failed_key}
if ttl_s ~= '' then
  redis.call('ZREM', due_key, member)
  for _, key in ipairs(kept) do redis.call('EXPIRE', key, ttl_s) end
  leave_hooks({
    list = list_key, queued_at = queued_at_key, wake = wake_key, queue = queue,
    live = live_hooks_key, rq_queues = rq_queues_key, now = now, rq_time = rq_time, ns = ns,
  }, hook_keys, table_of(hooks))
  publish(channel, message)
  return 1
end
for _, key in ipairs(kept) do redis.call('PERSIST', key) end
if due_at == '' then redis.call('ZREM', due_key, member)
else redis.call('ZADD', due_key, due_at, member) end
look_if_settled(group_key, group_live_key,
  {due = due_key, wake = group_wake_key, now = now, ns = ns})
return 1
