-- Write the hook deliveries of an end that was noted when nobody knew the hooks of its app, once.
-- Caller: store/hooks.py tell_untold, for worker/announce.py, and tell_noted, for
-- worker/archiving/carry.py: an end that the archive refuses. Of many who announce one writes; a
-- second arrival finds no note.
-- Names: notes: of the runner, or of the archive; hook, hooks: as lib/hook has them; list, queued_at, wake, queue: the
-- hook queue.
-- Gives 1 written, 0 it had been.
--@ include hook
--@ keys notes list queued_at wake live_hooks rq_queues hook*
--@ args note now rq_time ns queue hooks*
if redis.call('ZREM', notes_key, note) == 0 then return 0 end
leave_hooks({
  list = list_key, queued_at = queued_at_key, wake = wake_key, queue = queue,
  live = live_hooks_key, rq_queues = rq_queues_key, now = now, rq_time = rq_time, ns = ns,
}, hook_keys, table_of(hooks))
return 1
