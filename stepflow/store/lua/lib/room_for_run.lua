-- Inserted by `submit_run` and `signal_start`, whose names it uses: answer for a run that is there,
-- or whose limits have no room in their lines, and clear away one that has ended and may be replaced.
local row = redis.call('HMGET', run_key, 'rev', 'submit_id')
if row[2] == request then return {1} end
if row[1] and row[1] ~= replaces then return {0, redis.call('HGETALL', run_key)} end
if bounded ~= '' then
  local limit, key, waiting, most =
    join_limits(limits_at(ns, '', tonumber(created)), run_id, bounded, due)
  if limit then return {4, limit, key, waiting, most} end
end
if row[1] then
  local tags = tags_of(data_key)
  redis.call('DEL', run_key, data_key, steps_key, memo_key, kv_key, journal_key, mail_key, sent_key,
    variables_key, questions_key, replies_key, output_key)
  redis.call('ZREM', old_ended_key, run_id)
  redis.call('ZREM', old_of_key, run_id)
  redis.call('ZREM', expiry_key, expiring(expired, tags))
  drop_tags(ns, tags, run_id)
end
