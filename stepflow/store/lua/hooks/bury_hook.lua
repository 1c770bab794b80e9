-- End a hook delivery whose record cannot be read as dead, and take it out of everything that would
-- lead somebody to it.
-- Caller: store/maintenance.py bury_hook, for engine/gate.py. Safe to repeat.
-- Gives 1 buried, 0 when the delivery has ended or is not kept.
--@ include lists
--@ keys hook claims due queued_at dead_hooks live_hooks wip job
--@ args member hook_id died_at ttl_s wip_member fields*
local state = soft('HGET', hook_key, 'state')
local is_open = state ~= 'dead' and state ~= 'delivered' and redis.call('EXISTS', hook_key) == 1
if is_open then
  set_fields(hook_key, fields)
  redis.call('EXPIRE', hook_key, ttl_s)
  redis.call('ZADD', dead_hooks_key, died_at, hook_id)
  redis.call('DEL', job_key)
end
soft('ZREM', live_hooks_key, hook_id)
redis.call('ZREM', claims_key, member)
redis.call('ZREM', due_key, member)
soft('ZREM', queued_at_key, member)
soft('ZREM', wip_key, wip_member)
return is_open and 1 or 0
