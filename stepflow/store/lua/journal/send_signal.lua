-- Put a signal into the run's mailbox and wake the run if it is parked on that; a running one is
-- notified. A long payload is kept beside the ids, its item in the mailbox points to it: who looks
-- for a name loads none of them.
-- Caller: store/journal.py send_signal, for engine/signal.py.
-- Names: item: name and payload; most_items, most_bytes, most_ids: that the run keeps; long_bytes:
-- of an item whose payload is kept beside; replaces: what the items begin with that this one takes
-- the place of, or ''.
-- Gives 'delivered', 'buffered', 'full' of items, 'heavy' with bytes, 'ended' or 'unknown'; the
-- same id again is answered as the first time, while it is among the newest. 'moved' when the run
-- was restarted on another queue since the caller looked, and nothing is written.
--@ include total
--@ include wake
--@ include mailbox
--@ keys run mail sent list queued_at wake due scheduled
--@ args signal_id item replaces most_items member now rq_time ns queue pending channels message most_bytes
--@      most_ids long_bytes
local row = redis.call('HMGET', run_key, 'rev', 'parked', 'token', 'delivery', 'ended', 'queue',
  'mailed', 'lane')
if not row[1] then return 'unknown' end
if row[5] and row[5] ~= '' then return 'ended' end
local answered = soft('HGET', sent_key, signal_id)
if answered then return answered end
if row[6] ~= queue then return 'moved' end
local length = soft('LLEN', mail_key)
if not length then redis.call('DEL', mail_key) end -- no mailbox of ours
local old, old_bytes = mail_of(mail_key, sent_key, replaces)
if (length or 0) - #old >= tonumber(most_items) then return 'full' end
if (tonumber(row[7]) or 0) - old_bytes + #item > tonumber(most_bytes) then return 'heavy' end
for _, each in ipairs(old) do take_mail(run_key, mail_key, sent_key, each, replaces) end
put_mail(run_key, mail_key, sent_key, signal_id, item, tonumber(long_bytes))
local is_heard = wake(run_key, row, member, {
  list = list_key, queued_at = queued_at_key, wake = wake_key, due = due_key,
  scheduled = scheduled_key, now = now, rq_time = rq_time, ns = ns, queue = queue,
  state = pending, channels = channels, message = message, lane = row[8],
})
local answer = is_heard and 'delivered' or 'buffered'
note_sent(sent_key, signal_id, answer, tonumber(most_ids))
return answer
