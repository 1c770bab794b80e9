-- Begin the run of a schedule's time, and move the schedule on: the run with its job, when the next
-- time is due, the history, all or nothing.
-- Caller: store/schedules/moves.py fire_schedule, for engine/schedules/fire.py.
-- Names: after those of submit_run, where a run that is there stays as it is. schedule_rev ...: as
-- write_schedule has them.
-- Gives 1 written, also to a second arrival, 0 when the schedule is not as the caller saw it, 2 when
-- it was moved on and the run was there before.
--@ include lists
--@ include job
--@ include enqueue
--@ include schedules/write
--@ constants PARKED_LIMIT
--@ names runs/submit_run
--@ keys schedule history last
--@ args schedule_rev schedule_live schedule_member schedule_due schedule_fields* lines*
local refused = schedule_refusal(schedule_key, schedule_rev, request, last_key, schedule_live)
if refused then return refused end
write_schedule(schedule_key, history_key, due_key, schedule_member, schedule_due, schedule_fields,
  lines)
if redis.call('EXISTS', run_key) == 1 then return 2 end
local turn = nil
--@ insert new_run
return 1
