-- Put a hook delivery back into its queue: after a lapsed claim, a lost delivery, or when somebody
-- asks for a redelivery.
-- Caller: store/hooks.py requeue_hook.
-- Names: claimed_job, wip_member: of the claim or delivery that ends; lapsed: a time by which its
-- lease must have run out, or ''.
-- Gives 1 queued, 0 when the delivery is not as the caller saw it.
--@ include lists
--@ include job
--@ include enqueue
--@ keys hook claims claimed_job wip dead_hooks live_hooks job list queued_at wake due rq_queues
--@ args rev member wip_member hook_id rq_id now rq_time ns queue lapsed fields*
if redis.call('HGET', hook_key, 'rev') ~= rev then return 0 end
local lease = lapsed ~= '' and redis.call('ZSCORE', claims_key, member)
if lease and tonumber(lease) > tonumber(lapsed) then return 0 end
set_fields(hook_key, fields)
redis.call('PERSIST', hook_key)
redis.call('ZREM', claims_key, member)
soft('ZREM', wip_key, wip_member)
redis.call('ZREM', dead_hooks_key, hook_id)
soft('ZADD', live_hooks_key, now, hook_id)
soft('ZREM', queued_at_key, member)
redis.call('ZREM', due_key, member)
redis.call('DEL', claimed_job_key)
write_job(job_key, rq_id, ns, 'run_hook', queue, 'queued', rq_time)
enqueue(list_key, queued_at_key, wake_key, rq_id, member, now)
redis.call('SADD', rq_queues_key, list_key)
return 1
