-- What the functions of limits work with: one for all runs of a script. prefix: of RQ ids; rq_time:
-- now as RQ writes it, for scripts that hand room to others.
local function limits_at(ns, prefix, now, rq_time)
  return {ns = ns, prefix = prefix, now = now, rq_time = rq_time, known = {}}
end
