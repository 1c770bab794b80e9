-- Leave a run where it is and write a request to stop or to pause into its record: its worker is
-- notified.
-- Caller: store/runs/end.py mark_run, for engine/cancel.py, and store/steering/pauses.py mark_pause.
-- Names: look_again_at: when the deadline scan comes by again, '' for never, 'as before' to leave
-- that as it is; channel: of the worker.
-- Gives {1}, {2} for a second arrival, or {0, rev, token} when the run is not as the caller saw it.
--@ include lists
--@ include guard
--@ include publish
--@ keys run deadlines
--@ args rev request run_id look_again_at channel message fields*
local refused = refusal(run_key, '', '', rev, '', request, '', '')
if refused then return refused end
set_fields(run_key, fields)
if look_again_at == 'as before' then publish(channel, message) return {1} end
if look_again_at ~= '' then redis.call('ZADD', deadlines_key, look_again_at, run_id)
else redis.call('ZREM', deadlines_key, run_id) end
publish(channel, message)
return {1}
