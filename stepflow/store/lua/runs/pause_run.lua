-- Let the run stand at its present step until somebody resumes it, and tell the hooks that want to
-- know. Whose code was tried on it is forgotten: once it is resumed, every worker may try again.
-- Caller: store/runs/stand.py pause_run, for worker/commit.py.
-- Names: as lib/guard has them; claimed_job, wip_member: of the claim that ends; hook, hooks: as
-- lib/hook has them.
-- Gives {1}, {2} for a second arrival, or {0, rev, token} when the run is not as the caller saw it.
--@ include lists
--@ include guard
--@ include hook
--@ lazily limits/admit: give_back
--@ keys run data steps claims claimed_job wip hook_list hook_queued_at hook_wake live_hooks
--@      rq_queues hook*
--@ args rev token fence member wip_member reason now rq_time ns hook_queue fields* records* hooks*
--@      limited*
local refused = refusal(run_key, steps_key, claims_key, rev, token, fence, '', '')
if refused then return refused end
set_fields(run_key, fields)
set_fields(steps_key, records)
put(data_key, 'reason', reason)
redis.call('HDEL', data_key, 'tried')
redis.call('ZREM', claims_key, member)
soft('ZREM', wip_key, wip_member)
redis.call('DEL', claimed_job_key)
give_back(items(limited))
if hook_keys[1] then
  leave_hooks({
    list = hook_list_key, queued_at = hook_queued_at_key, wake = hook_wake_key, queue = hook_queue,
    live = live_hooks_key, rq_queues = rq_queues_key, now = now, rq_time = rq_time, ns = ns,
  }, hook_keys, table_of(hooks))
end
return {1}
