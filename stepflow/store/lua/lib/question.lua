-- Take a question off the list of what people are asked; *outcome* says what became of it. Gives
-- whether it stood there.
local function shut_question(questions, replies, index, digest, outcome, run_id)
  if redis.call('HDEL', questions, digest) == 0 then return false end
  redis.call('HSET', replies, digest, outcome)
  if redis.call('EXISTS', questions) == 0 then redis.call('ZREM', index, run_id) end
  return true
end
