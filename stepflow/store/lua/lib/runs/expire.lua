-- Inserted by `finish_run`, whose names it uses: what the run kept lives as long as its record, or
-- shorter.
redis.call('EXPIRE', run_key, ttl_s)
redis.call('EXPIRE', data_key, ttl_s)
redis.call('EXPIRE', steps_key, ttl_s)
local rest = {journal_key, kv_key, memo_key, mail_key, sent_key, variables_key, questions_key,
  replies_key}
local left = redis.call('EXISTS', output_key, unpack(rest)) -- most runs have none, or a journal
if left > 0 then redis.call('ZREM', questions_index_key, run_id) end
for _, key in ipairs(rest) do
  if left > 0 then left = left - redis.call('EXPIRE', key, ttl_s) end
end
if left > 0 then redis.call('EXPIRE', output_key, output_ttl_s) end
