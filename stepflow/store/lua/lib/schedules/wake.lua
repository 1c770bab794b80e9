-- Inserted by `finish_run`, whose names it uses: the run of a schedule has ended, so that schedule is
-- due now, where it waits for the end. An idle worker is told.
if soft('HGET', schedule, 'wakes') == '1' then
  local schedule_member = string.sub(schedule, #ns + 2)
  redis.call('ZADD', due_key, now, schedule_member)
  if redis.call('ZRANK', due_key, schedule_member) == 0 and redis.call('EXISTS', schedule_wake) == 0
  then redis.call('RPUSH', schedule_wake, '1') end
end
