-- The line of a limit and key: who waits for room, and in what order.
-- A line is a sorted set, so one that is cancelled leaves it at once, and a wait keeps its place
-- when it moves to another line.
--@ include limits/waiter
--@ include enqueue

-- Seconds between two that come in one instant: a score is no more precise.
local STEP = 0.00002

-- Look at a line again at a time: one timer for each line.
local function look_again(at, limit, from, queue)
  delay(at.ns .. ':due', '', wake_of(at.ns, queue), '', limit_member(limit.member),
    stamp_of(from), false)
end

-- Have it stand at the end of those of its priority: many come in one instant, in order.
local function join_end(run, limit)
  local last = soft('ZREVRANGEBYSCORE', limit.line, run.rank + 1e10 - 1, run.rank, 'WITHSCORES',
    'LIMIT', 0, 1) or {}
  if last[2] then run.since = math.max(run.since, tonumber(last[2]) - run.rank + STEP) end
end

local function stand_in_line(at, run, limit, from)
  if run.held == '' then join_end(run, limit) end
  soft('ZADD', limit.line, place_in_line(run, limit), run.id)
  soft('SADD', lines_of(at.ns), limit.member)
  soft('ZREM', limit.ahead, run.id)
  run.held = limit.member .. '|' .. stamp_of(run.since)
  if run.step then write_ask(run) else redis.call('HSET', run.record, 'held', run.held) end
  if from then look_again(at, limit, from, run.queue) end
end
