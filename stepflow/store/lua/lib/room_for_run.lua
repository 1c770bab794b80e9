-- Inserted by `submit_run` and `signal_start`, whose names it uses: answer for a run that is there,
-- or whose limits have no room in their lines, and clear away one that has ended and may be replaced
-- (lib/runs/clear_away). Who replaces none names none of its keys.
local row = redis.call('HMGET', run_key, 'rev', 'submit_id')
if row[2] == request then return {1} end
if row[1] and row[1] ~= replaces then return {0, redis.call('HGETALL', run_key)} end
if bounded ~= '' then
  local limit, key, waiting, most =
    join_limits(limits_at(ns, '', tonumber(created)), run_id, bounded, due)
  if limit then return {4, limit, key, waiting, most} end
end
if row[1] then
  clear_away(run_key, data_key, run_id, ns, expired, replaced_keys)
end
