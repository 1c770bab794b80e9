-- Put a delivery at the end of its queue, note since when it waits, and leave a token for an idle
-- worker. One with a lane waits there for its turn. Gives the length of the queue; nil where its key
-- is of another type. lane: as `lane_in` gives it, or nil.
--@ include total
--@ include lanes/lane
--@ lazily lanes/levels: note_level
--@ lazily lanes/levels: note_list
--@ lazily lanes/enter: enter_lane
local function enqueue(list, queued_at, wake, id, member, now, lane)
  local length = lane and enter_lane(lane, list, queued_at, member, now)
  if not length then
    length = soft('RPUSH', list, id)
    soft('ZADD', queued_at, now, member)
  end
  if redis.call('EXISTS', wake) == 0 then redis.call('RPUSH', wake, '1') end
  if string.sub(list, -7, -2) == '.level' then note_list(queued_at, list) end
  return length
end

-- Leave a token in a wake list that stands for jobs, and none in one that does not.
local function leave_token(wake, has_jobs)
  if not has_jobs then redis.call('DEL', wake)
  elseif redis.call('EXISTS', wake) == 0 then redis.call('RPUSH', wake, '1') end
end

-- Put a delivery into the due set; an idle worker is told when it is the first one due, by a token
-- that goes by itself where no worker has ever listened. A brief delay shows in RQ's registry of
-- scheduled jobs as well.
local function delay(due_set, scheduled, wake, id, member, due, is_brief)
  redis.call('ZADD', due_set, due, member)
  if is_brief then soft('ZADD', scheduled, due, id) end
  if redis.call('ZRANK', due_set, member) == 0 and redis.call('EXISTS', wake) == 0 then
    redis.call('RPUSH', wake, '1')
    redis.call('EXPIRE', wake, 60)
  end
end
