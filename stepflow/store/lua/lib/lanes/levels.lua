-- Priorities without a name: each that is in use has an RQ queue of its own, and costs every claim a
-- look at it. Workers claim from those in the set of levels. Whoever puts something into such a queue
-- notes it there, so one that was forgotten is found again by the next round of each worker.
--@ include total
--@ include keys
--@ include ids

-- Seconds that one is kept in which nothing waits any more: what comes once a day is never late.
local USED_S = 90000

local function note_level(ns, queue)
  if string.sub(queue, -7, -2) ~= '.level' then return end
  local levels = levels_of(ns)
  if soft('SADD', levels, queue) == nil then
    redis.call('DEL', levels)
    redis.call('SADD', levels, queue)
  end
  redis.call('SET', level_of(ns, queue), '1', 'EX', USED_S)
end

-- The same by the keys of the queue.
local function note_list(queued_at, list)
  note_level(string.match(queued_at, '^(.*):queued_at:'), string.sub(list, #list_of('') + 1))
end

-- Give those in use, and forget those that are not, and in which nothing waits: in one write, so none
-- is forgotten that gets something now.
local function levels_in_use(ns, waiting_lists)
  local levels, used, waiting = levels_of(ns), {}, nil
  for _, queue in ipairs(soft('SMEMBERS', levels) or {}) do
    if redis.call('EXISTS', level_of(ns, queue), list_of(queue), queued_at_of(ns, queue),
      lanes_of(ns, queue)) == 0 then
      waiting = waiting or soft('SMEMBERS', waiting_lists) or {}
      local keeps = false
      for _, list in ipairs(waiting) do keeps = keeps or string.match(list, '^[^|]*') == queue end
      if keeps then used[#used + 1] = queue else redis.call('SREM', levels, queue) end
    else used[#used + 1] = queue end
  end
  return used
end
