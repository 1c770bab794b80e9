-- Included. Take an ask off the list of what people are asked; *mark* says what became of it. Gives whether it stood there.
local function shut_question(asks, replies, index, digest, mark, run_id)
  if redis.call('HDEL', asks, digest) == 0 then return false end
  redis.call('HSET', replies, digest, mark)
  if redis.call('EXISTS', asks) == 0 then redis.call('ZREM', index, run_id) end
  return true
end
