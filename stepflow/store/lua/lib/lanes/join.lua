-- Fair lanes: a run that has a lane waits in it, and the RQ list of its queue has but the next few.
-- These are taken from the lanes in turn, by start-time fair queueing: each lane has a tag, the
-- lowest is next, and each delivery moves its lane's tag up by 1 / weight. A lane that is new gets
-- in behind those of the present round, so waiting earns nothing; one that is empty keeps its tag
-- until the others have come as far, so leaving earns nothing either.
--@ include total
--@ include clock
--@ include ids
--@ include keys
--@ include lanes/levels
--@ include lanes/lane

local function weight_of(lane)
  local weight = tonumber(soft('HGET', fair_of(lane.ns), queue_of(lane.queue) .. '|' .. lane.name))
  return weight and weight > 0 and weight or 1
end

-- Have a lane take part in its queue, should it not.
local function open_lane(lane)
  local laned, lanes = laned_of(lane.ns), lanes_of(lane.ns, lane.queue)
  if not soft('SADD', laned, lane.queue) then
    redis.call('DEL', laned)
    redis.call('SADD', laned, lane.queue)
  end
  if soft('ZSCORE', lanes, lane.name) then return end
  local first = soft('ZRANGE', lanes, 0, 0, 'WITHSCORES')
  if not first then redis.call('DEL', lanes) end -- no lanes of ours
  local tag = first and tonumber(first[2]) or 0
  redis.call('ZADD', lanes, tag + 1 / weight_of(lane), lane.name)
end

-- Put a run at the end of its lane. Gives nil where the key of the lane is of another type.
local function join_lane(lane, member, now)
  local own, at = lane_of(lane.ns, lane.queue, lane.name), tonumber(now)
  local last = soft('ZRANGE', own, -1, -1, 'WITHSCORES')
  if not last then return nil end
  if last[2] and tonumber(last[2]) >= at then at = tonumber(last[2]) + 0.000001 end
  redis.call('ZADD', own, stamp_of(at), member)
  open_lane(lane)
  return true
end

-- Where a run waits for a claim: its lane, which takes part in its queue, or its mark in the queue
-- itself. Gives 1 where it had neither.
local function restore_place(ns, queue, name, member, now)
  local lane = lane_in(ns, queue, name)
  note_level(ns, queue) -- a process of the version before does not
  if lane and soft('ZSCORE', lane_of(ns, queue, name), member) then
    open_lane(lane)
    return 0
  end
  return soft('ZADD', queued_at_of(ns, queue), 'NX', stamp_of(now), member) or 0
end
