-- Take an ended run up again: its keys live on, its index entries move, its last step is handed
-- over. The record of the attempt that ended it stays, as that of an attempt.
-- Caller: store/runs/end.py retry_run, for engine/retry.py.
-- Names: forget: journal entries that go; step: the last one; rest: all other keys that the run
-- keeps; group: of a member of a group its record, its live and failed members, and what else is
-- kept of it; reopened: the state of a group that goes on.
-- Gives {1}, {2} for a second arrival, or {0, rev, token} when the run is not as the caller saw it.
--@ include lists
--@ include guard
--@ include job
--@ include enqueue
--@ include indexes/tags
--@ include groups/reopen
--@ keys run data steps journal job list queued_at wake live live_of ended ended_of expiry rest* group*
--@      once*
--@ args rev request run_id member created rq_id now rq_time ns queue lane expiry_member step reopened
--@      forget* fields*
local refused = refusal(run_key, '', '', rev, '', request, '', '')
if refused then return refused end
for _, entry in ipairs(table_of(forget)) do redis.call('LREM', journal_key, -1, entry) end
local was = group_keys[1] and redis.call('HGET', run_key, 'state')
set_fields(run_key, fields)
soft('HDEL', data_key, 'result', 'error', 'reason')
local record = soft('HGET', steps_key, step)
local token = record and string.match(record, '^[^ ]*%.')
if token then
  redis.call('HSET', steps_key, step .. '.' .. token, record)
  redis.call('HDEL', steps_key, step)
end
for _, key in ipairs({run_key, data_key, steps_key, journal_key, unpack(rest_keys)}) do
  redis.call('PERSIST', key)
end
local tags = tags_of(data_key)
redis.call('ZREM', ended_key, run_id)
soft('ZREM', ended_of_key, run_id)
redis.call('ZREM', expiry_key, expiring(expiry_member, tags))
redis.call('ZADD', live_key, created, run_id)
soft('ZADD', live_of_key, created, run_id)
score_tags(ns, tags, created, run_id)
for _, once in ipairs(once_keys) do redis.call('SET', once, run_id, 'NX') end
write_job(job_key, rq_id, ns, 'run_step', queue, 'queued', rq_time)
enqueue(list_key, queued_at_key, wake_key, rq_id, member, now, lane_in(ns, queue, lane))
if group_keys[1] then reopen(group_keys, was, run_id, created, reopened) end
return {1}
