-- Make a run with a signal in its mailbox: all, or nothing where the run id is taken.
-- Caller: store/journal.py signal_start, for engine/signal.py.
-- Names: those of `submit_run`; signal_id, item, most_ids, long_bytes: those of `send_signal`;
-- answer: what is noted for who sends the same signal again.
-- Gives {1} made (also to the second arrival of the same request), or {0, the fields of the run
-- that is there}, or {4 ...} as submit_run.
--@ include lists
--@ include job
--@ include enqueue
--@ include mailbox
--@ lazily runs/clear_away: clear_away
--@ include limits/at
--@ lazily limits/full: join_limits
--@ constants PARKED_LIMIT
--@ keys run data mail sent job list queued_at wake rq_queues live live_of deadlines due scheduled
--@      counts tag* level* replaced*
--@ args request replaces member run_id created due rq_id queue lane rq_time ns deadline is_brief
--@      expired counted bounded signal_id item answer most_ids long_bytes fields* data*
--@ insert room_for_run
local turn = nil
--@ insert new_run
count_up(run_key, 'inbox')
put_mail(run_key, mail_key, sent_key, signal_id, item, tonumber(long_bytes))
note_sent(sent_key, signal_id, answer, tonumber(most_ids))
return {1}
