-- Inserted by `submit_run` and `submit_child`, whose names it uses: write a new run, its places in
-- the indexes and its first delivery, and count it. RQ is told of the queue, unless something waits
-- in it already. level: not empty for a priority without a name. turn: nil, or the state in which the
-- run stands until the end of another child of its map hands it over (lib/map).
set_fields(run_key, fields)
set_fields(data_key, data)
redis.call('ZADD', live_key, created, run_id)
soft('ZADD', live_of_key, created, run_id)
for _, index in ipairs(tag_keys) do soft('ZADD', index, created, run_id) end
count_up(counts_key, counted)
if deadline ~= '' then redis.call('ZADD', deadlines_key, deadline, run_id) end
local length = 1
if turn then
  redis.call('HSET', run_key, 'state', turn, 'parked', PARKED_LIMIT)
elseif due == '' then
  write_job(job_key, rq_id, ns, 'run_step', queue, 'queued', rq_time)
  length = enqueue(list_key, queued_at_key, wake_key, rq_id, member, created,
    lane_in(ns, queue, lane)) or 1
else
  local brief = is_brief == '1'
  if brief then write_job(job_key, rq_id, ns, 'run_step', queue, 'scheduled', rq_time) end
  delay(due_key, scheduled_key, wake_key, rq_id, member, due, brief)
  if level_keys[1] then note_level(ns, queue) end
end
if length == 1 then redis.call('SADD', rq_queues_key, list_key) end
