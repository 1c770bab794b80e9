-- Write a shared value, or give back the right to compute it.
-- Caller: store/shared/values.py settle_shared, for worker/runtime/shared.py.
-- Names: given: now, or ''; claim: by which it was computed, '' to write whatever there is; packed:
-- the value, '' to give back; label: what its owner calls it; lasts_s: how long it is kept; most:
-- values of that name that are kept, those that expire last; start: of the keys of values.
-- Gives 1 written or given back, also to a second arrival, 0 when another computes it now.
--@ include total clock waiting/waiters
--@ keys value waiting index names due
--@ args given ns name digest claim packed label run_id lasts_s most start rq_time pending channels
--@      waits_for
local now = clock(given)
local row = soft('HMGET', value_key, 'claim', 'wrote') or {}
if claim ~= '' and row[1] ~= claim then return row[2] == claim and 1 or 0 end
if packed == '' then
  redis.call('HDEL', value_key, 'claim', 'holder')
else
  put(value_key, 'value', packed, 'label', label, 'run', run_id, 'at', stamp_of(now), 'until',
    stamp_of(now + lasts_s), 'wrote', claim)
  redis.call('HDEL', value_key, 'claim', 'holder')
  redis.call('PEXPIRE', value_key, math.ceil(lasts_s * 1000))
  for key, member in pairs({[index_key] = digest, [names_key] = name}) do
    local kept = soft('ZSCORE', key, member)
    if kept == nil then redis.call('DEL', key) end
    local till = math.max(now + lasts_s, key == names_key and tonumber(kept or 0) or 0)
    redis.call('ZADD', key, stamp_of(till), member)
    redis.call('ZREMRANGEBYSCORE', key, '-inf', stamp_of(now))
    local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]
    redis.call('PEXPIRE', key, math.ceil((tonumber(last) - now) * 1000) + 1000)
  end
  for _ = 1, 10 do
    if redis.call('ZCARD', index_key) <= tonumber(most) then break end
    local first = redis.call('ZRANGE', index_key, 0, 0)[1]
    redis.call('ZREM', index_key, first)
    redis.call('UNLINK', start .. first)
  end
end
wake_waiters(waiting_key, packed == '' and 1 or 2, {
  ns = ns, due = due_key, now = stamp_of(now), rq_time = rq_time, state = pending,
  channels = channels, waits_for = waits_for,
})
return 1
