-- The index of live runs of each runner, for a page of runs at once.
--@ include total keys

-- Have a run listed among those of its runner: a process of the version before lists none there.
-- rows: for each runner its runs, each with when it was made.
local function note_runner(rows, id, runner, created)
  local name = string.match(runner or '', '^([%w_.:-]+)')
  if not name or not moment(created) then return end
  local row = rows[name] or {}
  rows[name], row[#row + 1], row[#row + 2] = row, created, id
end

-- List what was noted. Nothing waits for that, so nobody is told.
local function list_under_runners(rows, ns)
  for name, row in pairs(rows) do
    if (soft('ZADD', runner_index_of(ns, 'live', name), 'NX', unpack(row)) or 0) > 0 then
      local ids = {}
      for i = 2, #row, 2 do ids[#ids + 1] = row[i] end
      soft('ZREM', old_runner_index_of(ns, name), unpack(ids))
    end
  end
end
