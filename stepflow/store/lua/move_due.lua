-- Move what has come due from the due set into its queue; the record says which delivery waits and where.
-- Caller: store/claims.py move_due, for engine/rounds.py. Safe to run by many at once, and twice.
-- KEYS  1 due
-- ARGV  1 now or ''  2 namespace  3 limit  4 rq time  5 pending state
-- Gives {now, moved, score of the next one due or ''}.
--@ include _clock
--@ include _job
--@ include _knock
local ns, now = ARGV[2], clock(ARGV[1])
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', stamp_of(now), 'LIMIT', 0, ARGV[3])
for _, member in ipairs(members) do
  local record = ns .. ':' .. member
  local row = redis.call('HMGET', record, 'delivery', 'due', 'queue', 'state', 'rev')
  local id, queue = row[1], row[3]
  redis.call('ZREM', KEYS[1], member)
  if id and id ~= '' and queue and (tonumber(row[2]) or 0) <= now then
    local entry = string.sub(member, 1, 5) == 'hook:' and 'run_hook' or 'run_step'
    local base = string.gsub(string.gsub(queue, '%.high$', ''), '%.low$', '')
    redis.call('ZREM', 'rq:scheduled:' .. queue, id)
    write_job('rq:job:' .. id, id, ns, entry, queue, 'queued', ARGV[4])
    if row[4] ~= ARGV[5] then redis.call('HSET', record, 'state', ARGV[5], 'rev', row[5] + 1, 'parked', '') end
    knock('rq:queue:' .. queue, ns .. ':pending:' .. queue, ns .. ':wake:' .. base, id, member, stamp_of(now))
  elseif id and id ~= '' and queue then
    redis.call('ZADD', KEYS[1], row[2], member)
  end
end
local head = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {stamp_of(now), #members, head[2] or ''}
