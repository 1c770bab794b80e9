-- Let the worker go: step n is closed, the run stands until its due time or its inbox wakes it. It
-- costs no RQ job.
-- Caller: store/runs/stand.py park_run, for worker/commit.py.
-- Names: inbox: how much of it the step has seen, or '' to wait for the due time alone; due: or '';
-- expects: what its signals must look like, or ''; open: what it waits for, or ''.
-- Gives {1}, {2} for a second arrival, {3} when the inbox holds what the step has not seen, or
-- {0, rev, token} when the run is not as the worker saw it.
--@ include lists
--@ include guard
--@ include enqueue
--@ lazily limits/admit: give_back
--@ keys run data steps memo claims claimed_job wip due wake
--@ args rev token fence inbox member wip_member due expects open fields* records*
--@      limited*
local refused = refusal(run_key, steps_key, '', rev, token, fence, '', '')
if refused then return refused end
if inbox ~= '' and (redis.call('HGET', run_key, 'inbox') or '0') ~= inbox then return {3} end
set_fields(run_key, fields)
set_fields(steps_key, records)
local gone = {}
for name, packed in pairs({expects = expects, open = open}) do
  if packed ~= '' then put(data_key, name, packed) else gone[#gone + 1] = name end
end
if gone[1] then soft('HDEL', data_key, unpack(gone)) end
redis.call('DEL', memo_key, claimed_job_key)
redis.call('ZREM', claims_key, member)
soft('ZREM', wip_key, wip_member)
if due ~= '' then delay(due_key, '', wake_key, '', member, due, false) end
give_back(items(limited)) -- at the end: it may wake this very run
return {1}
