-- Forget a group: what is kept of it goes, its members stay as runs of their own.
-- Caller: store/groups/moves.py forget_group, for engine/groups/verbs.py.
-- Gives 1 forgotten, also when there is none; 0 when it is not as the caller saw it.
--@ include total
--@ keys group names specs begun group_live group_failed groups due
--@ args rev group_id member
local there = soft('HGET', group_key, 'rev')
if there and there ~= rev then return 0 end
redis.call('UNLINK', group_key, names_key, specs_key, begun_key, group_live_key, group_failed_key)
redis.call('ZREM', groups_key, group_id)
redis.call('ZREM', due_key, member)
return 1
