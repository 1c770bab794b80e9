-- Included by `claim_steps`. What is popped and not taken: a job that is not ours goes to RQ's failed registry.
local function refuse_foreign(id, s, now, rq_time, text)
  if redis.call('HEXISTS', 'rq:job:' .. id, 'data') == 0 then return end
  redis.call('HSET', 'rq:job:' .. id, 'status', 'failed', 'ended_at', rq_time, 'exc_info', text)
  redis.call('ZADD', 'rq:failed:' .. s.queue, now + 31536000, id)
end

-- One whose runner this worker does not know goes to the waiting list of that runner, whose workers are told.
local function set_aside(id, s, member, run, runner, awaited, ns, now)
  redis.call('RPUSH', ns .. ':await:' .. s.queue .. ':' .. runner, id)
  redis.call('SADD', awaited, s.queue .. '|' .. runner)
  redis.call('ZREM', s.pending, member)
  redis.call('HSET', run, 'blocked', stamp_of(now))
  redis.call('RPUSH', ns .. ':wake:@' .. runner, '1')
  redis.call('LTRIM', ns .. ':wake:@' .. runner, 0, 0)
  redis.call('EXPIRE', ns .. ':wake:@' .. runner, 60)
end
