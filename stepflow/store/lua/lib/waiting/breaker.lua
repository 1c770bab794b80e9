-- The state of a circuit breaker, one hash. It is open while `state` says so, and lets trials through
-- from `until` on, but for one that was opened by hand without an end (`until` is empty then).
--@ include total

-- Begin another epoch: permits of those before say nothing any more. Its other keys go with it.
local function turn(breaker, trials, failed, ...)
  count_up(breaker, 'epoch')
  put(breaker, 'won', '0', ...)
  redis.call('DEL', trials, failed)
end

-- Note that it is in use, or *lasts*: a record that nobody uses expires, and leaves the list of all.
local function touch(breaker, breakers, name, now, ttl, lasts)
  if lasts then redis.call('PERSIST', breaker) else redis.call('EXPIRE', breaker, ttl) end
  soft('ZADD', breakers, lasts and '+inf' or now + ttl, name)
  soft('ZREMRANGEBYSCORE', breakers, '-inf', now)
  if (soft('ZREVRANGEBYSCORE', breakers, '+inf', '+inf', 'LIMIT', 0, 1) or {})[1] then
    redis.call('PERSIST', breakers)
  else
    redis.call('EXPIRE', breakers, ttl)
  end
end
