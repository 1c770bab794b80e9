-- Make a child, or find it made, under the claim of its parent. In one write with the list of the
-- children that end with their parent: a worker that lost the claim leaves no child that nobody
-- knows of. The parent has something left to do from then on when it is stopped. One that was asked
-- to stop makes no child.
-- Caller: store/children.py submit_child, for engine/children.py.
-- Names: after those of submit_run, where a child replaces nothing and is no fork. listed: its run
-- id, or '' for a child left to itself; waiting: the state of a child that waits for its turn in a
-- map; group: the map, or ''; index: the child's number in it; goal: what settles it; at_once: how
-- many of it begin at once.
-- Gives {rev of the parent, 1} made, {rev, 0, the fields of the run that is there}, or {'lost'},
-- {'stopped'}, {'settled'}.
--@ include lists
--@ include job
--@ include enqueue
--@ constants CLEANUP_NONE CLEANUP_NEEDED PARKED_LIMIT
--@ names runs/submit_run
--@ keys parent children answers maps
--@ args token listed waiting group index goal at_once
local turn = nil
local row = redis.call('HMGET', parent_key, 'token', 'rev', 'stop', 'children', 'cleanup')
if row[1] ~= token then return {'lost'} end
if (row[3] or '') ~= '' then return {'stopped'} end
local present = redis.call('HMGET', run_key, 'rev', 'submit_id')
local is_new = redis.call('EXISTS', run_key) == 0
if group ~= '' then
  if redis.call('HEXISTS', answers_key, group) == 1 then return {'settled'} end
  if redis.call('HSETNX', maps_key, group .. '.goal', goal) == 1 then
    redis.call('HSET', maps_key, group .. '.next', at_once)
  end
  local next_one = whole(redis.call('HGET', maps_key, group .. '.next')) or 0
  if tonumber(index) >= next_one then turn = waiting end
end
local rev = whole(row[2]) or 0
local has_cleanup = listed == '' or (row[5] or CLEANUP_NONE) ~= CLEANUP_NONE
if not row[4] or not has_cleanup then
  rev = rev + 1
  redis.call('HSET', parent_key, 'children', '1', 'rev', rev)
  if not has_cleanup then redis.call('HSET', parent_key, 'cleanup', CLEANUP_NEEDED) end
end
if is_new and listed ~= '' then redis.call('SADD', children_key, listed) end
if present[1] and present[2] == request then return {rev, 1} end
if present[1] then return {rev, 0, redis.call('HGETALL', run_key)} end
--@ insert new_run
return {rev, 1}
