-- Take one delivery that somebody else took out of the queue: the way a stock RQ worker comes to a step.
-- Caller: store/claims.py claim_one, for stepflow.entry. Sent twice, it knows its own token.
-- KEYS  1 claims  2 record  3 data  4 queued_at
-- ARGV  1 now or ''  2 rq id  3 token  4 lease s  5 running state  6 member
-- Gives {now, run hash, data hash}, {now} when the record does not wait for this delivery, or {now, run hash} when its rev
-- cannot be read: nothing is taken then. A key that holds no hash is false.
--@ include total
--@ include clock
local now = clock(ARGV[1])
local row = soft('HMGET', KEYS[2], 'delivery', 'due', 'rev', 'started', 'token')
if not row then return {stamp_of(now), false} end
if row[5] ~= ARGV[3] then
  if row[1] ~= ARGV[2] or (tonumber(row[2]) or 0) > now then return {stamp_of(now)} end
  if not whole(row[3]) then return {stamp_of(now), redis.call('HGETALL', KEYS[2])} end
  redis.call('HSET', KEYS[2], 'rev', row[3] + 1, 'token', ARGV[3], 'claimed_id', ARGV[2], 'delivery', '', 'state', ARGV[5],
    'started', row[4] or stamp_of(now))
  redis.call('ZADD', KEYS[1], stamp_of(now + tonumber(ARGV[4])), ARGV[6])
  soft('ZREM', KEYS[4], ARGV[6])
end
return {stamp_of(now), redis.call('HGETALL', KEYS[2]), soft('HGETALL', KEYS[3]) or false}
