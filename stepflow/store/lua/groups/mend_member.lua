-- Count the end of a member that its group takes for live: one whose record is gone, or that a worker of
-- a version without groups ended.
-- Caller: store/groups/moves.py mend_member, for engine/groups/carry.py and engine/doctor/.
-- Names: gone: the word for a member without a record.
-- Gives 1 counted, 0 when it lives, or was counted.
--@ include groups/count
--@ keys run group group_live group_failed due wake
--@ args run_id group_id gone now ns
local row = soft('HMGET', run_key, 'rev', 'state', 'ended', 'group') or {}
local is_mine = row[1] and row[4] == group_id
if is_mine and (row[3] or '') == '' then return 0 end
local counted = count_member(group_key, group_live_key, group_failed_key,
  is_mine and row[2] or gone, run_id,
  {due = due_key, wake = wake_key, now = now, ns = ns})
return counted and 1 or 0
