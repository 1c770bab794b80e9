-- Included by those that include lib/family, before it, after lib/total and lib/wake. What the end of a child means to the map it is of.

-- Begin the next child of a map that was made waiting. Each number is passed once in the life of the map, so all these
-- loops together are as long as it; a child that is not there yet begins when it is made, one whose record is gone does not.
local function release(maps, answers, stem, total, to)
  while true do
    local passed = count_up(maps, stem .. '.next')
    if not passed or passed > total then return end
    local index = passed - 1
    local id = stem .. '-' .. index
    local row = soft('HMGET', to.ns .. ':run:' .. id, 'rev', 'parked', 'delivery', 'ended', 'state', 'queue')
    if row and not row[5] and soft('HEXISTS', answers, id) ~= 1 then return end
    if row and row[2] == 'limit' and (row[3] or '') ~= '' and (row[4] or '') == '' then
      if row[6] and row[6] ~= to.queue and string.find(row[6], '^[%w_.-]+$') then
        to.queue, to.list, to.queued_at = row[6], 'rq:queue:' .. row[6], to.ns .. ':queued_at:' .. row[6]
        to.wake = to.ns .. ':wake:' .. string.gsub(string.gsub(row[6], '%.high$', ''), '%.low$', '')
      end
      return rouse(to.ns .. ':run:' .. id, row[1], row[3], 'run:' .. id, to)
    end
  end
end

-- Count a child's end, and settle the map when its policy is met or can no longer be.
-- Gives the number of this end among its like, whether the map is settled by it, and how many children there are.
local function count(maps, answers, stem, goal, word)
  local number = count_up(maps, stem .. '.' .. word) or 0
  local row = redis.call('HMGET', maps, stem .. '.ok', stem .. '.bad')
  local ok, bad = whole(row[1]) or 0, whole(row[2]) or 0
  local need, most_bad, total = string.match(goal, '^(%d+)|(%d+)|(%d+)$')
  if not need then return 0, true, 0 end -- a goal that cannot be read: the parent is woken to look for itself
  if ok < tonumber(need) and bad <= tonumber(most_bad) and ok + bad < tonumber(total) then
    return number, false, tonumber(total)
  end
  put(answers, stem, ok .. '|' .. bad)
  redis.call('HDEL', maps, stem .. '.ok', stem .. '.bad', stem .. '.goal', stem .. '.next')
  return number, true, tonumber(total)
end
