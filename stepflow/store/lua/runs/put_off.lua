-- Give a debounced run that is not due yet another payload and another due time.
-- Caller: store/runs/submit.py put_off, for engine/once/settle.py.
-- Names: once: the key that it has; is_brief: 1 or 0.
-- Gives {1}, {2} for a second arrival, or {0} when the run is not as the caller saw it.
--@ include lists
--@ include job
--@ include enqueue
--@ constants STATE_SCHEDULED
--@ keys run data once due scheduled wake job
--@ args run_id rev request member due rq_id is_brief ns queue rq_time fields* data*
local row = redis.call('HMGET', run_key, 'rev', 'request', 'state', 'started')
if row[2] == request then return {2} end
if row[1] ~= rev or row[3] ~= STATE_SCHEDULED or row[4] then return {0} end
if soft('GET', once_key) ~= run_id then return {0} end
set_fields(run_key, fields)
soft('HDEL', data_key, 'spec')
set_fields(data_key, data)
local brief = is_brief == '1'
if brief then write_job(job_key, rq_id, ns, 'run_step', queue, 'scheduled', rq_time) end
delay(due_key, scheduled_key, wake_key, rq_id, member, due, brief)
return {1}
