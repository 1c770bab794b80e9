-- Add an entry to the journal as `add_entry` does, and in the same write give back what steps have of
-- limits whose calls are over, and have limits rest. A second arrival does neither.
-- Caller: store/limits/steps.py add_entry_limited, for worker/runtime/step_runtime.py.
-- Names: as add_entry has them; given: now, or ''; prefix: of RQ ids; steps: step, number, settled of
-- each; rests: limit, key, until of each.
-- Gives 1 written, 0 refused, as add_entry does.
--@ names journal/add_entry
--@ include limits/settle lists clock
--@ args given ns prefix rq_time run_id steps* rests*
--@ insert runs/add_entry
local limits = limits_at(ns, prefix, clock(given), rq_time)
rest_all(limits, table_of(rests))
leave_steps(limits, run_id, token, table_of(steps))
return 1
