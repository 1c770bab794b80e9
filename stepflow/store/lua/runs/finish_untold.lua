-- End a run whose app no worker has ever told its terminal hooks of: as `finish_run`, and in the same write the end is noted
-- for the worker that announces them (`tell_untold`).
-- Caller: store/runs.py finish_run, for engine/cancel.py.
-- KEYS  as finish_run, then  hooks of apps, notes of the runner
-- ARGV  as finish_run, then  runner, note, most notes
-- Gives as finish_run; refused, too, when the hooks were announced since the caller looked.
--@ include total
--@ include fields
--@ include guard
--@ include job
--@ include enqueue
--@ include hook
--@ include publish
--@ include wake
--@ include map
--@ include family
--@ include finish
local note = {most = tonumber(table.remove(ARGV)), text = table.remove(ARGV), runner = table.remove(ARGV)}
note.key, note.hooks = table.remove(KEYS), table.remove(KEYS)
return finish(note)
