-- Lay out for a moment what a run remembered that is restored from elsewhere: `submit_run` takes it
-- from there as it takes that of the source of a fork. It comes in parts; each expires by itself.
-- Caller: store/fork.py stage_run, for archive/restore.py.
-- Names: first: how many entries were laid out before; entries: of the journal; answers, variables,
-- kv: fields and values.
-- Gives 1 laid out, 0 for a second arrival.
--@ include lists
--@ keys journal answers variables kv
--@ args first ttl_s entries* answers* variables* kv*
if redis.call('LLEN', journal_key) ~= tonumber(first) then return 0 end
set_fields(answers_key, answers)
set_fields(variables_key, variables)
set_fields(kv_key, kv)
if not is_empty(entries) then redis.call('RPUSH', journal_key, items(entries)) end
for _, key in ipairs({journal_key, answers_key, variables_key, kv_key}) do
  redis.call('EXPIRE', key, ttl_s)
end
return 1
