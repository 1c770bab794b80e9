-- Let the run stand at its present step until somebody resumes it.
-- Caller: store/runs.py pause_run, for worker/commit.py.
-- Names: as lib/guard has them; claimed_job, wip_member: of the claim that ends.
-- Gives {1}, {2} for a second arrival, or {0, rev, token} when the run is not as the caller saw it.
--@ include lists
--@ include guard
--@ keys run data steps claims claimed_job wip
--@ args rev token fence member wip_member reason fields* records*
local refused = refusal(run_key, steps_key, claims_key, rev, token, fence, '', '')
if refused then return refused end
set_fields(run_key, fields)
set_fields(steps_key, records)
put(data_key, 'reason', reason)
redis.call('ZREM', claims_key, member)
soft('ZREM', wip_key, wip_member)
redis.call('DEL', claimed_job_key)
return {1}
