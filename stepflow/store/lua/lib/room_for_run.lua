-- Inserted by `submit_run` and `signal_start`, whose names it uses: answer for a run that is there,
-- and clear away one that has ended and may be replaced (lib/clear_away). Who replaces none names
-- none of its keys.
local row = redis.call('HMGET', run_key, 'rev', 'submit_id')
if row[1] then
  if row[2] == request then return {1} end
  if row[1] ~= replaces then return {0, redis.call('HGETALL', run_key)} end
  clear_away(run_key, data_key, run_id, ns, expired, replaced_keys)
end
