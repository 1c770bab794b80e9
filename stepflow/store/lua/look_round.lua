-- What every worker does once a second, in one call: say it is alive, and see what needs doing.
-- Caller: store/claims.py look_round, for engine/rounds.py.
-- KEYS  1 claims  2 due  3 deadlines  4 rq:suspended  5 awaited  6 live workers  7 expiry  8 dead hooks
--       then for each source: list, pending, wake
-- ARGV  1 now or ''  2 worker  3 seconds a silent worker counts as live  4 job prefix  5 seconds a dead hook is kept
-- Gives {now, suspended, live workers, next due, lapsed claims, passed deadlines, awaited lists, expired records,
--        members whose entry left the queue, whether the worker was not known}; each list holds at most 50.
--@ include _clock
local now = clock(ARGV[1])
local time = stamp_of(now)
local is_new = redis.call('ZADD', KEYS[6], time, ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', stamp_of(now - ARGV[3]))
redis.call('EXPIRE', KEYS[6], 60)
local missing = {}
redis.call('ZREMRANGEBYSCORE', KEYS[8], '-inf', stamp_of(now - ARGV[5]))
for i = 9, #KEYS, 3 do
  local list, pending, wake = KEYS[i], KEYS[i + 1], KEYS[i + 2]
  local head = redis.call('LINDEX', list, 0)
  local before = now - 1
  if head then
    if redis.call('EXISTS', wake) == 0 then redis.call('RPUSH', wake, '1') end
    local ours = string.gsub(string.gsub(string.sub(head, #ARGV[4] + 1), '%-r%d+$', ''), '%-g%d+$', '')
    local kind, name = string.match(ours, '^(run)%-(.+)%-%d+$')
    if not kind then kind, name = string.match(ours, '^(hook)%-(.+)$') end
    local since = kind and redis.call('ZSCORE', pending, kind .. ':' .. name)
    before = since and math.min(before, tonumber(since)) or -1
  end
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', pending, '-inf', '(' .. stamp_of(before), 'LIMIT', 0, 50)) do
    missing[#missing + 1] = member
  end
end
return {
  time, redis.call('EXISTS', KEYS[4]), redis.call('ZCARD', KEYS[6]),
  redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or '',
  redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', time, 'LIMIT', 0, 50),
  redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', time, 'LIMIT', 0, 50),
  redis.call('SRANDMEMBER', KEYS[5], 50),
  redis.call('ZRANGEBYSCORE', KEYS[7], '-inf', time, 'LIMIT', 0, 50),
  missing, is_new,
}
