-- Taking runs out of lanes: the RQ list of a fair queue has but the next few.
--@ include total
--@ include clock
--@ include ids
--@ include keys
--@ include lanes/join

-- Entries that the RQ list of a fair queue has, unless an operator says otherwise: each of them goes
-- before whoever comes next. A claim takes more at once, for it fills the list first.
local DEFAULT_WINDOW = 1

-- How many entries the list of a fair queue is to have at least, if so many runs wait.
local function window_of(ns, queue)
  return whole(soft('HGET', fair_of(ns), queue_of(queue))) or DEFAULT_WINDOW
end

-- Fill the list of a fair queue up to *size* entries out of its lanes, each lane in its turn. What a
-- lane holds of runs that wait no more costs it no turn. Gives the length of the list.
local function refill(ns, queue, list, queued_at, size, now)
  local lanes, length = lanes_of(ns, queue), soft('LLEN', list)
  for _ = 1, length and length < size and size - length + 256 or 0 do
    if length >= size then return length end
    local name = (soft('ZRANGE', lanes, 0, 0) or {})[1]
    if not name then
      soft('SREM', laned_of(ns), queue)
      return length
    end
    local member = (soft('ZPOPMIN', lane_of(ns, queue, name)) or {})[1]
    local id = member and is_member(member) and soft('HGET', record_of(ns, member), 'delivery')
    if not member then redis.call('ZREM', lanes, name)
    elseif id and id ~= '' then
      length = redis.call('RPUSH', list, id)
      soft('ZADD', queued_at, stamp_of(now), member)
      redis.call('ZINCRBY', lanes, 1 / weight_of(lane_in(ns, queue, name)), name)
    end
  end
  return length or 0
end

-- The same for a list by its key, up to its window; one of no fair queue stays as it is.
local function refill_list(ns, list, queued_at, now)
  local queue = string.sub(list, #list_of('') + 1)
  if soft('SISMEMBER', laned_of(ns), queue) ~= 1 then return end
  refill(ns, queue, list, queued_at, window_of(ns, queue), now)
end
