-- Give a run that the worker's code does not fit to the workers of another build: its delivery goes
-- to the waiting list of that build.
-- Caller: store/claims.py hand_on, for worker/commit.py.
-- Names: as lib/guard has them; claimed_job, wip_member: of the claim that ends; job, rq_id: of the
-- new delivery; list: the waiting list, entry its name among the waiting lists; tried: whose code
-- did not fit.
-- Gives {1}, {2} for a second arrival, or {0, rev, token} when the run is not as the caller saw it.
--@ include lists
--@ include guard
--@ include job
--@ include lanes/levels
--@ lazily limits/admit: give_back
--@ keys run data steps claims claimed_job wip job list waiting_lists
--@ args rev token fence member wip_member rq_id rq_time ns queue entry tried fields* records*
--@      limited*
local refused = refusal(run_key, steps_key, claims_key, rev, token, fence, '', member)
if refused then return refused end
set_fields(run_key, fields)
put(data_key, 'tried', tried)
set_fields(steps_key, records)
redis.call('ZREM', claims_key, member)
soft('ZREM', wip_key, wip_member)
redis.call('DEL', claimed_job_key)
write_job(job_key, rq_id, ns, 'run_step', queue, 'queued', rq_time)
soft('RPUSH', list_key, rq_id)
soft('SADD', waiting_lists_key, entry)
note_level(ns, queue)
give_back(items(limited))
return {1}
