-- Included by `claim_steps`, after lib/total. What is popped and not taken: a job that is not ours goes to RQ's failed registry.
local function refuse_foreign(id, s, now, rq_time, text)
  if soft('HEXISTS', 'rq:job:' .. id, 'data') ~= 1 then return end
  redis.call('HSET', 'rq:job:' .. id, 'status', 'failed', 'ended_at', rq_time, 'exc_info', text)
  soft('ZADD', 'rq:failed:' .. s.queue, now + 31536000, id)
end

-- One whose runner this worker does not know goes to the waiting list of that runner, whose workers are told.
local function set_aside(id, s, member, run, runner, waiting_lists, ns, now)
  soft('RPUSH', ns .. ':waiting:' .. s.queue .. ':' .. runner, id)
  soft('SADD', waiting_lists, s.queue .. '|' .. runner)
  soft('ZREM', s.queued_at, member)
  redis.call('HSET', run, 'unroutable', stamp_of(now))
  soft('RPUSH', ns .. ':wake:@' .. runner, '1')
  soft('LTRIM', ns .. ':wake:@' .. runner, 0, 0)
  redis.call('EXPIRE', ns .. ':wake:@' .. runner, 60)
end

-- What can be the key of a runner, as the record names it.
local function is_runner(key) return string.find(key, '^[%w_.:-]+$') or string.find(key, '^[%w_.:-]+@%d+$') end
