-- What every worker does once a second, in one call: say it is alive, and see what needs doing.
-- Caller: store/maintenance.py scan_maintenance, for worker/maintenance.py.
-- Names: workers: that share the queue; source: for each its list, queued_at, wake; given: now, or
-- ''; silent_s: that a silent worker still counts as live; dead_s: that a dead hook is kept.
-- Gives {now, suspended, live workers, next due, lapsed claims, passed deadlines, waiting lists,
-- whether records have expired, members whose entry left the queue, what named nothing and was
-- taken out, live runs that an index had lost, parent and child for each child whose record is
-- gone, whether the worker was not known, queue and who paused it for each that is, whether indexes
-- of the version before hold anything, the RQ queues of priorities without a name, the member that is
-- due next}; a list holds at most 50, but for those after the strays.
--@ include total clock ids keys sources lanes/levels indexes/rebuild
--@ lazily lanes/refill: refill_list
--@ keys claims due deadlines suspended paused_queues waiting_lists workers expiry dead_hooks live levels laned source* old*
--@ args given worker silent_s prefix dead_s ns lease_s
local now = clock(given)
local time = stamp_of(now)
local missing, strays = {}, {}
for _, index in ipairs({claims_key, due_key, deadlines_key, workers_key}) do
  if soft('ZCARD', index) == nil then -- another type: the records bring back what it is to hold
    redis.call('DEL', index)
    strays[#strays + 1] = index .. ' as a whole'
  end
end
local is_new = redis.call('ZADD', workers_key, time, worker)
redis.call('ZREMRANGEBYSCORE', workers_key, '-inf', stamp_of(now - silent_s))
redis.call('EXPIRE', workers_key, 60)
soft('ZREMRANGEBYSCORE', dead_hooks_key, '-inf', stamp_of(now - dead_s))

-- Those of *members* that are what the index is to hold; what is not is taken out of it.
local function sound(index, members, is_sound, remove)
  local kept = {}
  for _, member in ipairs(members or {}) do
    if is_sound(member) then kept[#kept + 1] = member
    else
      redis.call(remove, index, member)
      strays[#strays + 1] = index .. ' ' .. member
    end
  end
  return kept
end

-- Whether the record of a member waits for the delivery that its mark in a queue tells of.
local function waits(member)
  local row = is_member(member) and soft('HMGET', record_of(ns, member), 'delivery')
  return row and (row[1] or '') ~= ''
end

local function is_list(entry) return string.find(entry, '^[^|\128-\255]+|[^|\128-\255]+$') end
local function passed(set) return redis.call('ZRANGEBYSCORE', set, '-inf', time, 'LIMIT', 0, 50) end

local has_levels, has_laned, has_old = exist(levels_key, laned_key, old_keys)
for i = 1, #source_keys, 3 do
  if has_laned then refill_list(ns, source_keys[i], source_keys[i + 1], now) end
  local queued_at, gone = source_keys[i + 1], overtaken(now, prefix, unpack(source_keys, i, i + 2))
  for _, member in ipairs(sound(queued_at, gone, waits, 'ZREM')) do
    missing[#missing + 1] = member
  end
end
local lapsed = sound(claims_key, passed(claims_key), is_member, 'ZREM')
local overdue = sound(deadlines_key, passed(deadlines_key), is_run_id, 'ZREM')
local lists = soft('SRANDMEMBER', waiting_lists_key, 50)
local waiting_lists = sound(waiting_lists_key, lists, is_list, 'SREM')
local restored, orphans = rebuild(live_key, page_of(live_key, workers_key, worker, now), now, {
  claims = claims_key, due = due_key, deadlines = deadlines_key, ns = ns,
  lease = tonumber(lease_s),
}, strays)
local next_due = redis.call('ZRANGE', due_key, 0, 0, 'WITHSCORES')
return {
  time, redis.call('EXISTS', suspended_key), redis.call('ZCARD', workers_key), next_due[2] or '',
  lapsed, overdue, waiting_lists,
  #(soft('ZRANGEBYSCORE', expiry_key, '-inf', time, 'LIMIT', 0, 1) or {}),
  missing, strays, restored, orphans, is_new, soft('HGETALL', paused_queues_key) or {},
  has_old, has_levels and levels_in_use(ns, waiting_lists_key) or {}, next_due[1] or '',
}
