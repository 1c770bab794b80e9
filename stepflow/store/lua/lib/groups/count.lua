-- What the ends of its members mean to a group. Only members pay for it.
--@ include total

-- Whether the members that have ended settle a group. Its goal is "<need>|<most bad>|<total>|..."; one
-- without a goal has been settled, and is over once no member lives.
local function is_settled(group, live)
  local row = redis.call('HMGET', group, 'goal', 'n.succeeded', 'n.failed', 'n.cancelled',
    'n.refused', 'n.gone')
  local need, most_bad, total = string.match(row[1] or '', '^(%d+)|(%d+)|(%d+)')
  if not need then return (soft('ZCARD', live) or 0) == 0 end
  local ok, bad = whole(row[2]) or 0, 0
  for i = 3, 6 do bad = bad + (whole(row[i]) or 0) end
  return ok >= tonumber(need) or bad > tonumber(most_bad) or ok + bad >= tonumber(total)
end

-- A group that its members settle is due now; an idle worker is told. to: due, wake, now, ns.
local function look_if_settled(group, live, to)
  if not is_settled(group, live) then return false end
  local member = string.sub(group, #to.ns + 2)
  redis.call('ZADD', to.due, to.now, member)
  if redis.call('ZRANK', to.due, member) == 0 and redis.call('EXISTS', to.wake) == 0 then
    redis.call('RPUSH', to.wake, '1')
    redis.call('EXPIRE', to.wake, 60)
  end
  return true
end

-- Count the end of a member, once: a group that was forgotten knows no live ones. word: its end
-- state, or "gone". Those that failed are scored with the wave of retries in which they did.
local function count_member(group, live, failed, word, run_id, to)
  if soft('ZREM', live, run_id) ~= 1 then return false end
  count_up(group, 'n.' .. word)
  if word == 'failed' then
    soft('ZADD', failed, whole(redis.call('HGET', group, 'wave')) or 0, run_id)
  end
  look_if_settled(group, live, to)
  return true
end
