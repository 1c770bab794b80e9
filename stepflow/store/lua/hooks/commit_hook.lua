-- Settle one try of a hook delivery: delivered, dead, or once more later.
-- Caller: store/hooks.py commit_hook, for worker/notify.py.
-- Names: claimed_job, wip_member: of the claim that ends; ttl_s: or '' while the record lives on;
-- died_at, due: or ''.
-- Gives 1 settled, 2 for a second arrival, 0 when the claim is not the caller's any more.
--@ include lists
--@ keys hook claims claimed_job wip dead_hooks live_hooks due
--@ args token member wip_member ttl_s died_at hook_id due fields*
local row = redis.call('HMGET', hook_key, 'token', 'last_token')
if row[1] ~= token then return row[2] == token and 2 or 0 end
set_fields(hook_key, fields)
redis.call('HSET', hook_key, 'token', '', 'last_token', token)
redis.call('ZREM', claims_key, member)
soft('ZREM', wip_key, wip_member)
redis.call('DEL', claimed_job_key)
if ttl_s ~= '' then
  redis.call('EXPIRE', hook_key, ttl_s)
  soft('ZREM', live_hooks_key, hook_id)
end
if died_at ~= '' then redis.call('ZADD', dead_hooks_key, died_at, hook_id) end
if due ~= '' then redis.call('ZADD', due_key, due, member) end
return 1
