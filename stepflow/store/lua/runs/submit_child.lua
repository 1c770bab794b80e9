-- Make a child, or find it made, under the claim of its parent. In one write with the list of the children that end with
-- their parent: a worker that lost the claim leaves no child that nobody knows of. The parent has something left to do from
-- then on when it is stopped. One that was asked to stop makes no child.
-- Caller: store/children.py submit_child, for engine/children.py.
-- KEYS  1 to 24 as submit_run, then  25 parent  26 its children  27 its answers  28 its maps
-- ARGV  as submit_run, then  1 token  2 run id to list, or '' for a child left to itself  3 waiting state
--       4 stem of the map or ''  5 number in it  6 what settles it  7 how many begin at once
-- Gives {rev of the parent, 1} made, {rev, 0, the fields of the run that is there}, or {'lost'}, {'stopped'}, {'settled'}.
--@ include total
--@ include fields
--@ include job
--@ include enqueue
--@ include submit
local tail = #ARGV - 7
local parent, children, answers, maps = KEYS[25], KEYS[26], KEYS[27], KEYS[28]
local listed, stem, held = ARGV[tail + 2], ARGV[tail + 4], nil
local row = redis.call('HMGET', parent, 'token', 'rev', 'stop', 'children', 'cleanup')
if row[1] ~= ARGV[tail + 1] then return {'lost'} end
if (row[3] or '') ~= '' then return {'stopped'} end
local is_new = redis.call('EXISTS', KEYS[1]) == 0
if stem ~= '' then
  if redis.call('HEXISTS', answers, stem) == 1 then return {'settled'} end
  if redis.call('HSETNX', maps, stem .. '.goal', ARGV[tail + 6]) == 1 then
    redis.call('HSET', maps, stem .. '.next', ARGV[tail + 7])
  end
  local next_one = whole(redis.call('HGET', maps, stem .. '.next')) or 0
  if tonumber(ARGV[tail + 5]) >= next_one then held = ARGV[tail + 3] end
end
local rev, has_rest = whole(row[2]) or 0, listed == '' or (row[5] or '0') ~= '0'
if not row[4] or not has_rest then
  rev = rev + 1
  redis.call('HSET', parent, 'children', '1', 'rev', rev)
  if not has_rest then redis.call('HSET', parent, 'cleanup', '1') end
end
if is_new and listed ~= '' then redis.call('SADD', children, listed) end
local made = submit(held)
return {rev, unpack(made)}
