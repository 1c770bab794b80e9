-- What a claim pops and does not take.
--@ include total
--@ include clock
--@ include keys

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
  soft('ZREM', to.queued_at, member)
  redis.call('HSET', run, 'unroutable', stamp_of(to.now))
  local wake = runner_wake_of(to.ns, runner)
  soft('RPUSH', wake, '1')
  soft('LTRIM', wake, 0, 0)
  redis.call('EXPIRE', wake, 60)
end
