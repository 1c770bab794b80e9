-- End a hook delivery whose record cannot be read as dead, and take it out of everything that would lead somebody to it.
-- Caller: store/damage.py bury_hook, for engine/gate.py. Safe to repeat.
-- KEYS  1 hook  2 claims  3 due  4 queued_at  5 dead hooks  6 wip  7 job
-- ARGV  1 member  2 hook id  3 died at  4 ttl s  5 wip member  6 hook fields ...
-- Gives 1 buried, 0 when the delivery has ended or is not kept.
--@ include total
--@ include fields
local state = soft('HGET', KEYS[1], 'state')
if state == 'dead' or state == 'delivered' or redis.call('EXISTS', KEYS[1]) == 0 then state = nil
else
  set_fields(KEYS[1], 6)
  redis.call('EXPIRE', KEYS[1], ARGV[4])
  redis.call('ZADD', KEYS[5], ARGV[3], ARGV[2])
  redis.call('DEL', KEYS[7])
  state = true
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
soft('ZREM', KEYS[4], ARGV[1])
soft('ZREM', KEYS[6], ARGV[5])
return state and 1 or 0
