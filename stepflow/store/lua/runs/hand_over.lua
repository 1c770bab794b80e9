-- Give the run back to its queue, or to the due set: after a Continue that is not kept, a retry, a
-- recovery.
-- Caller: store/runs/step.py hand_over, for worker/commit.py, worker/recover.py and engine/signal.py.
-- Names: as lib/guard has them; claimed_job: the job of the claim or delivery that ends, wip_member
-- its mark; job, rq_id: of the new delivery, '' for a run that stands until it is resumed; due: or '' for at once; is_brief, drop_memo: 1 or 0;
-- start: the first entry of a new history, or ''; deleted, written: of the run's own space;
-- counts, counted: where and in what a recovery is counted; limited: as lib/limits/admit has it.
-- Gives {1}, {2} for a second arrival, or {0, rev, token} when the run is not as the caller saw it.
--@ include lists
--@ include guard
--@ include job
--@ include enqueue
--@ lazily limits/admit: give_back
--@ keys run data steps kv memo claims claimed_job wip job list queued_at wake due scheduled
--@      journal questions replies questions_index counts* lane*
--@ args rev token fence lapsed member wip_member rq_id due now rq_time ns queue lane is_brief
--@      drop_memo start old_rq_id run_id deleted* written* fields* data* records*
--@      counted* limited*
local refused = refusal(run_key, steps_key, claims_key, rev, token, fence, lapsed, member)
if refused then return refused end
if start ~= '' then
  redis.call('DEL', steps_key, journal_key, questions_key, replies_key)
  redis.call('ZREM', questions_index_key, run_id)
  redis.call('RPUSH', journal_key, start)
end
delete_fields(kv_key, deleted)
set_fields(kv_key, written)
set_fields(run_key, fields)
set_fields(data_key, data)
set_fields(steps_key, records)
if drop_memo == '1' then redis.call('DEL', memo_key) end
redis.call('ZREM', claims_key, member)
soft('ZREM', wip_key, wip_member)
soft('ZREM', queued_at_key, member)
for _, lane in ipairs(lane_keys) do soft('ZREM', lane, member) end
if token == '' then
  redis.call('ZREM', due_key, member)
  soft('ZREM', scheduled_key, old_rq_id)
end
redis.call('DEL', claimed_job_key)
if counts_keys[1] then count_fields(counts_keys[1], counted) end
give_back(items(limited))
if rq_id == '' then return {1} end
if due == '' then
  write_job(job_key, rq_id, ns, 'run_step', queue, 'queued', rq_time)
  enqueue(list_key, queued_at_key, wake_key, rq_id, member, now, lane_in(ns, queue, lane))
else
  local brief = is_brief == '1'
  if brief then write_job(job_key, rq_id, ns, 'run_step', queue, 'scheduled', rq_time) end
  delay(due_key, scheduled_key, wake_key, rq_id, member, due, brief)
end
return {1}
