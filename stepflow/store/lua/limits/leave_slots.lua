-- Give back what steps of a claim have of limits, or take them out of line: those whose value nobody
-- wants any more, and those that have to wait for something else.
-- Caller: store/limits/steps.py leave_slots, for worker/runtime/limits.py. Safe to repeat.
-- Names: given: now, or ''; prefix: of RQ ids; steps: step, number, settled of each; places:
-- steps that have a place in line from an earlier claim, or parts that do; rests: limits
-- that are to rest: limit, key, until of each.
-- Gives 1, or 0 when the claim is another worker's now: it has none of these then.
--@ include limits/settle limits/places lists clock
--@ keys run
--@ args given ns prefix rq_time run_id token steps* places* rests*
if soft('HGET', run_key, 'token') ~= token then return 0 end
local at = limits_at(ns, prefix, clock(given), rq_time)
rest_all(at, table_of(rests))
leave_steps(at, run_id, token, table_of(steps))
for _, step in ipairs(table_of(places)) do leave_places(at, run_id, token, step) end
return 1
