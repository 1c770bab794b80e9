-- Runs that wait in the line of a limit, as those see them who look at where runs stand.
--@ include total
--@ include keys

-- Whether a run waits in the line of a limit, and so in no queue.
local function stands_in_line(id, held, ns)
  local line = held and line_of_held(ns, held)
  return line and soft('ZSCORE', line, id)
end
