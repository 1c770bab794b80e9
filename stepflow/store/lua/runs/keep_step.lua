-- The worker that closed a step keeps the run: step n is closed and step n+1 is its own, in one
-- write. Nothing of RQ's changes: one job stands for the whole claim.
-- Caller: store/runs/step.py keep_step, for worker/commit.py.
-- Names: step: number of the step; record: its step record, which begins with the token; drop_memo:
-- 1 or 0; deleted, written: of the run's own space; look_at: lists and sorted sets whose lengths are
-- wanted.
-- Gives {1, length ...}, {2} for a second arrival, or {0, rev, token} when the run is not as the
-- worker saw it.
--@ include lists
--@ include guard
--@ keys run data steps kv memo look_at*
--@ args rev token step record payload drop_memo deleted* written* fields*
local refused = refusal(run_key, steps_key, '', rev, token, step, '', '')
if refused then return refused end
delete_fields(kv_key, deleted)
set_fields(kv_key, written)
set_fields(run_key, fields)
put(data_key, 'payload', payload)
put(steps_key, step, record)
if drop_memo == '1' then redis.call('DEL', memo_key) end
local answer = {1}
for i, list in ipairs(look_at_keys) do
  answer[i + 1] = soft('LLEN', list) or soft('ZCARD', list) or 0
end
return answer
