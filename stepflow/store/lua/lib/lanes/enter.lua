-- A run comes into its lane, and the next of the lanes into the list of the queue.
--@ include lanes/join
--@ include lanes/refill

-- Gives the length of the list; nil where the key of the lane is of another type.
local function enter_lane(lane, list, queued_at, member, now)
  if not join_lane(lane, member, now) then return nil end
  return refill(lane.ns, lane.queue, list, queued_at, window_of(lane.ns, lane.queue), now)
end
