-- Tell a parent that a child of its list has ended, for its record is gone: exactly as the child's
-- end would have told it.
-- Caller: store/children.py tell_gone, for engine/children.py. Safe to repeat: a parent is told of
-- a child once.
-- Names: child: its record; parent: as lib/family_update has it.
-- Gives 1 told, 0 when the child is there, or stands on the list no more.
--@ include family_update
--@ keys child children parent*
--@ args run_id now rq_time ns parent*
if redis.call('EXISTS', child_key) == 1 then return 0 end
if soft('SISMEMBER', children_key, run_id) ~= 1 then return 0 end
local at = {now = now, rq_time = rq_time, ns = ns}
tell_parent(parent_keys, {items(parent)}, child_key, run_id, at)
return 1
