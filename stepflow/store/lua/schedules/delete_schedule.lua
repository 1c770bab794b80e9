-- Delete a schedule; its runs stay.
-- Caller: store/schedules/moves.py delete_schedule, for engine/schedules/.
-- Names: rev: as write_schedule has it, or '' to delete it as it is.
-- Gives 1 deleted, 0 when there is none, or it is not as the caller saw it.
--@ include total
--@ keys schedule history schedules due
--@ args rev member schedule_id
local there = soft('HGET', schedule_key, 'rev')
if rev ~= '' and there ~= rev then return 0 end
redis.call('ZREM', due_key, member)
local was = redis.call('ZREM', schedules_key, schedule_id)
return math.max(was, redis.call('DEL', schedule_key, history_key) > 0 and 1 or 0)
