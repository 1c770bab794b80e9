-- The queues that a claim takes deliveries out of: what it takes, and what it turns away.
--@ include total
--@ include clock
--@ include keys
--@ include ids
--@ lazily lanes/levels: note_level
--@ lazily lanes/source: refill_source

-- Read what waits in a queue: nothing in one that is paused. paused_queues: false when none is.
local function source_of(queue, paused_queues, list, queued_at, wip, wake)
  local is_paused = paused_queues and soft('HEXISTS', paused_queues, queue_of(queue)) == 1
  return {list = list, queued_at = queued_at, wip = wip, wake = wake, queue = queue,
    is_paused = is_paused, left = not is_paused and soft('LLEN', list) or 0, members = {}, leases = {}, started = {}}
end

-- Note that one waits elsewhere from now on.
local function leave_queue(source, member) soft('ZREM', source.queued_at, member) end

-- Note that one was taken; started: how RQ names it among its started jobs.
local function note_claim(source, member, lease, started)
  local leases, starts = source.leases, source.started
  source.members[#source.members + 1] = member
  leases[#leases + 1], leases[#leases + 2] = lease, member
  starts[#starts + 1], starts[#starts + 2] = '+inf', started
end

-- Write all that was noted, in one go.
local function write_claims(source, claims)
  if not source.members[1] then return end
  redis.call('ZADD', claims, unpack(source.leases))
  soft('ZREM', source.queued_at, unpack(source.members))
  soft('ZADD', source.wip, unpack(source.started))
end

-- A job that is not ours goes to RQ's failed registry, for a year.
local function refuse_foreign(id, queue, now, rq_time, text)
  if soft('HEXISTS', job_of(id), 'data') ~= 1 then return end
  redis.call('HSET', job_of(id), 'status', 'failed', 'ended_at', rq_time, 'exc_info', text)
  soft('ZADD', failed_of(queue), now + 31536000, id)
end

-- One whose runner this worker does not know goes to the waiting list of that runner, whose workers
-- are woken. to: queue, queued_at, waiting_lists, ns, now.
local function set_aside(id, member, run, runner, to)
  soft('RPUSH', waiting_list_of(to.ns, to.queue, runner), id)
  soft('SADD', to.waiting_lists, to.queue .. '|' .. runner)
  note_level(to.ns, to.queue)
  soft('ZREM', to.queued_at, member)
  redis.call('HSET', run, 'unroutable', stamp_of(to.now))
  local wake = runner_wake_of(to.ns, runner)
  soft('RPUSH', wake, '1')
  soft('LTRIM', wake, 0, 0)
  redis.call('EXPIRE', wake, 60)
end

-- Those that have waited for longer than the first entry of their queue: theirs is gone. A queue
-- with entries has its token again.
local function overtaken(now, prefix, list, queued_at, wake)
  local head, before = soft('LINDEX', list, 0), now - 1
  if head then
    if redis.call('EXISTS', wake) == 0 then redis.call('RPUSH', wake, '1') end
    local member = member_of_rq_id(head, prefix)
    local since = member and soft('ZSCORE', queued_at, member)
    before = since and math.min(before, tonumber(since)) or -1
  end
  return soft('ZRANGEBYSCORE', queued_at, '-inf', '(' .. stamp_of(before), 'LIMIT', 0, 50)
end
