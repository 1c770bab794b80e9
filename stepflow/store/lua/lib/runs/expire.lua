-- Inserted by `finish_run`, whose names it uses: what the run kept lives as long as its record, or
-- shorter; of one that keeps its result alone the rest goes, but the record of the step that ended
-- it: by that a second arrival is known.
redis.call('EXPIRE', run_key, ttl_s)
redis.call('EXPIRE', data_key, ttl_s)
local rest = {journal_key, kv_key, memo_key, mail_key, sent_key, variables_key, questions_key,
  replies_key}
if keeps_all ~= '1' then
  local last = soft('HGET', steps_key, fence)
  redis.call('ZREM', questions_index_key, run_id)
  redis.call('UNLINK', steps_key, output_key, unpack(rest))
  if last then redis.call('HSET', steps_key, fence, last) end
end
redis.call('EXPIRE', steps_key, ttl_s)
-- most runs have none of these, or a journal
local left = keeps_all == '1' and redis.call('EXISTS', output_key, unpack(rest)) or 0
if left > 0 then redis.call('ZREM', questions_index_key, run_id) end
for _, key in ipairs(rest) do
  if left > 0 then left = left - redis.call('EXPIRE', key, ttl_s) end
end
if left > 0 then redis.call('EXPIRE', output_key, output_ttl_s) end
