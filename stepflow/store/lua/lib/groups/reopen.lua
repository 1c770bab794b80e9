-- A member that had ended goes on: its group takes its end back, and goes on as well. Whoever was about
-- to write something else of the group finds another rev. One that was forgotten is left alone.
--@ include total
local function reopen(group_keys, was, run_id, created, reopened)
  --@ unpack group_keys: group live failed names begun
  local ended = soft('HGET', group, 'ended')
  if not ended or soft('ZADD', live, created, run_id) ~= 1 then return end
  if (whole(redis.call('HGET', group, 'n.' .. was)) or 0) > 0 then
    redis.call('HINCRBY', group, 'n.' .. was, -1)
  end
  soft('ZREM', failed, run_id)
  redis.call('HINCRBY', group, 'rev', 1)
  if ended == '' then return end
  redis.call('HSET', group, 'state', reopened, 'ended', '', 'goal', '', 'verdict', '')
  for _, key in ipairs({group, live, failed, names, begun}) do redis.call('PERSIST', key) end
end
