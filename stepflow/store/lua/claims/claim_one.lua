-- Take one delivery that somebody else took out of the queue: the way a stock RQ worker comes to a
-- step. Sent twice, it recognises its own token.
-- Caller: store/claims.py claim_one, for stepflow.entry.
-- Names: record: of the run or hook; given: now, or ''.
-- Gives {now, run hash, data hash}, {now} when the record does not wait for this delivery, or {now,
-- run hash} when its rev cannot be read: nothing is taken then, nor from a paused queue; its entry
-- counts as lost, and maintenance brings it back. One that its limits keep back goes to the line of
-- the first of them. A key that holds no hash is false.
--@ include total
--@ include clock
--@ include limits/at
--@ lazily limits/admit: admit
--@ include ids
--@ include keys
--@ lazily lanes/refill: refill_list
--@ keys claims record data queued_at paused_queues
--@ args given ns prefix rq_id token lease_s running member queue
local now = clock(given)
local row = soft('HMGET', record_key, 'delivery', 'due', 'rev', 'started', 'token', 'limits', 'lane')
if not row then return {stamp_of(now), false} end
if row[5] ~= token then
  if row[1] ~= rq_id or (tonumber(row[2]) or 0) > now then return {stamp_of(now)} end
  if soft('HEXISTS', paused_queues_key, queue_of(queue)) == 1 then return {stamp_of(now)} end
  if not whole(row[3]) then return {stamp_of(now), redis.call('HGETALL', record_key)} end
  if row[6] and not admit(limits_at(ns, prefix, now), run_id_of(member), token) then
    soft('ZREM', queued_at_key, member)
    return {stamp_of(now)}
  end
  redis.call('HSET', record_key, 'rev', row[3] + 1, 'token', token, 'claimed_id', rq_id,
    'delivery', '', 'state', running, 'started', row[4] or stamp_of(now))
  redis.call('ZADD', claims_key, stamp_of(now + tonumber(lease_s)), member)
  soft('ZREM', queued_at_key, member)
  if (row[7] or '') ~= '' then refill_list(ns, list_of(queue), queued_at_key, now) end
end
return {stamp_of(now), redis.call('HGETALL', record_key), soft('HGETALL', data_key) or false}
