-- What the functions of limits work with: one for all runs of a script. prefix: of RQ ids.
local function limits_at(ns, prefix, now) return {ns = ns, prefix = prefix, now = now, known = {}} end
