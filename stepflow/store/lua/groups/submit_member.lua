-- Begin a member of a group, once: its run, its step 0 and the RQ job that delivers it. An equal run
-- that is there is taken into the group.
-- Caller: store/groups/moves.py submit_member, for engine/groups/carry.py.
-- Names: after those of submit_run. begun: a bit for each member; index: the member's; group_member: as
-- the due set has it; runner, digest: of the run.
-- Gives 1 begun now, 2 begun before, 3 a different run has the id, 0 the group begins none now.
--@ include lists
--@ include job
--@ include enqueue
--@ include groups/count
--@ constants PARKED_LIMIT
--@ names runs/submit_run
--@ keys group begun group_live group_failed
--@ args submitting group_id index runner digest
if soft('HGET', group_key, 'state') ~= submitting then return 0 end
if redis.call('SETBIT', begun_key, index, 1) == 1 then return 2 end
local to = {due = due_key, wake = wake_key, now = created, ns = ns}
local row = soft('HMGET', run_key, 'rev', 'runner', 'digest', 'state', 'ended', 'group')
if row and not row[1] then
  local turn = nil
  --@ insert new_run
  redis.call('ZADD', group_live_key, created, run_id)
  return 1
end
if not row or row[2] ~= runner or row[3] ~= digest then
  count_up(group_key, 'n.refused')
  look_if_settled(group_key, group_live_key, to)
  return 3
end
if row[6] ~= group_id then
  redis.call('HSET', run_key, 'group', group_id)
  redis.call('HINCRBY', run_key, 'rev', 1)
end
redis.call('ZADD', group_live_key, created, run_id)
if (row[5] or '') ~= '' then
  count_member(group_key, group_live_key, group_failed_key, row[4], run_id, to)
end
return 2
