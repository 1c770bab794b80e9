-- What the end of a child means to the map that it belongs to.
--@ include total
--@ include ids
--@ include keys
--@ include wake
--@ constants PARKED_LIMIT

-- Begin the next child of a map that was made waiting. Each number is passed once in the life of
-- the map, so all these loops together are as long as it. A child that is not there yet begins when
-- it is made, one whose record is gone does not. One that somebody paused has its turn from then on.
-- to: as lib/wake has it, for the queue of the child that ended.
local function release(maps, answers, group, total, to)
  while true do
    local passed = count_up(maps, group .. '.next')
    if not passed or passed > total then return end
    local id = group .. '-' .. passed - 1
    local run = run_of(to.ns, id)
    local row = soft('HMGET', run, 'rev', 'parked', 'delivery', 'ended', 'state', 'queue',
      'stood', 'lane')
    if row and not row[5] and soft('HEXISTS', answers, id) ~= 1 then return end
    if row and string.find(row[7] or '', '|' .. PARKED_LIMIT .. '|', 1, true) then
      local seen = whole(row[1])
      redis.call('HSET', run, 'stood', to.state .. '||0|', 'rev', seen and seen + 1 or row[1] or '')
      return
    end
    local waits = row and row[2] == PARKED_LIMIT and (row[4] or '') == ''
    if waits and (row[3] or '') ~= '' then
      local queue = row[6]
      if queue and queue ~= to.queue and is_queue(queue) then
        to.queue, to.list, to.queued_at = queue, list_of(queue), queued_at_of(to.ns, queue)
        to.wake = wake_of(to.ns, queue)
      end
      to.lane = row[8]
      return rouse(run, row[1], row[3], run_member(id), to)
    end
  end
end

-- Write the answer of a map, how many of its children had succeeded and how many had not, and drop
-- its counters: a child that ends later counts no more.
local function settle(maps, answers, group, ok, bad)
  put(answers, group, ok .. '|' .. bad)
  redis.call('HDEL', maps, group .. '.ok', group .. '.bad', group .. '.goal', group .. '.next')
end

-- Count a child's end, and settle the map when its policy is met or can no longer be met.
-- Gives the number of this end among its like, whether it settles the map, and the number of
-- children.
local function count_end(maps, answers, group, goal, word)
  local number = count_up(maps, group .. '.' .. word) or 0
  local row = redis.call('HMGET', maps, group .. '.ok', group .. '.bad')
  local ok, bad = whole(row[1]) or 0, whole(row[2]) or 0
  local need, most_bad, total = string.match(goal, '^(%d+)|(%d+)|(%d+)$')
  if not need then return 0, true, 0 end -- cannot be read: the parent is woken to look for itself
  if ok < tonumber(need) and bad <= tonumber(most_bad) and ok + bad < tonumber(total) then
    return number, false, tonumber(total)
  end
  settle(maps, answers, group, ok, bad)
  return number, true, tonumber(total)
end
