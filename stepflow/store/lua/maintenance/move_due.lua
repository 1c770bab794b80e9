-- Move what has come due from the due set into its queue; the record says which delivery waits and
-- where.
-- Caller: store/maintenance.py move_due, for worker/maintenance.py. Safe to run by many at once,
-- and twice.
-- Names: given: now, or ''; pending: the state.
-- Gives {now, moved, score of the next one due or '', members that name nothing and were taken out,
-- members whose record does not say when or where, which the caller sets aside, schedules and groups
-- whose time has come, which the caller decides on, lines of limits that have room now}. All of these
-- stand in the due set again some seconds later, for another to decide should this caller be gone by then.
--@ include total
--@ include clock
--@ include ids
--@ include keys
--@ include job
--@ include enqueue
--@ keys due
--@ args given ns limit rq_time pending again_s
local now = clock(given)
local members = redis.call('ZRANGEBYSCORE', due_key, '-inf', stamp_of(now), 'LIMIT', 0, limit)
local strays, damaged, schedules, lines = {}, {}, {}, {}

-- When the record says it is due, 0 for at once; nil for what is no time.
local function due_at(text)
  if (text or '') == '' then return 0 end
  local due = tonumber(text)
  return due and due < 1e12 and due or nil
end

local function move(member, row)
  local id, queue, due = row[1] or '', row[3] or '', due_at(row[2])
  if id ~= '' and not (due and is_queue(queue)) then
    damaged[#damaged + 1] = member
    return
  end
  redis.call('ZREM', due_key, member)
  if id ~= '' and due <= now then
    local entry = is_hook_member(member) and 'run_hook' or 'run_step'
    soft('ZREM', scheduled_of(queue), id)
    write_job(job_of(id), id, ns, entry, queue, 'queued', rq_time)
    if row[4] ~= pending then
      local rev = whole(row[5]) -- of a damaged one it is left as it is: the claim sees that
      redis.call('HSET', record_of(ns, member), 'state', pending,
        'rev', rev and rev + 1 or row[5] or '', 'parked', '')
    end
    enqueue(list_of(queue), queued_at_of(ns, queue), wake_of(ns, queue), id, member, stamp_of(now),
      lane_in(ns, queue, row[6]))
  elseif id ~= '' then
    redis.call('ZADD', due_key, row[2], member)
  end
end

for _, member in ipairs(members) do
  local row = is_member(member)
    and soft('HMGET', record_of(ns, member), 'delivery', 'due', 'queue', 'state', 'rev', 'lane')
  if row then
    move(member, row)
  elseif is_schedule_member(member) or is_group_member(member) then
    redis.call('ZADD', due_key, stamp_of(now + again_s), member)
    schedules[#schedules + 1] = member
  elseif limit_of_member(member) then
    redis.call('ZADD', due_key, stamp_of(now + again_s), member)
    lines[#lines + 1] = member
  else
    redis.call('ZREM', due_key, member)
    strays[#strays + 1] = member
  end
end
local head = redis.call('ZRANGE', due_key, 0, 0, 'WITHSCORES')
return {stamp_of(now), #members - #damaged, head[2] or '', strays, damaged,
  schedules, lines}
