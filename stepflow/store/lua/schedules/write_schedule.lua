-- Write a schedule: put, paused, resumed, or moved on without a run.
-- Caller: store/schedules/moves.py write_schedule, for engine/schedules/.
-- Names: rev: of the record that is there, '' for none; live: as lib/schedules/write has it, of
-- *last*; due_at: or '' for not at all; put_at: of a schedule that may be new, else ''; list, wake:
-- of the queue of its runs, whose idle workers are told when it is the first one due.
-- Gives 1 written, also to a second arrival, 0 when it is not as the caller saw it.
--@ include schedules/write
--@ keys schedule history schedules due last wake rq_queues
--@ args rev request live member schedule_id due_at put_at list fields* lines*
local refused = schedule_refusal(schedule_key, rev, request, last_key, live)
if refused then return refused end
write_schedule(schedule_key, history_key, due_key, member, due_at, fields, lines)
if put_at ~= '' then redis.call('ZADD', schedules_key, 'NX', put_at, schedule_id) end
if due_at ~= '' and redis.call('ZRANK', due_key, member) == 0
  and redis.call('EXISTS', wake_key) == 0 then
  redis.call('SADD', rq_queues_key, list)
  redis.call('RPUSH', wake_key, '1')
end
return 1
