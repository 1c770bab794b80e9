-- Look at a page of live runs: give those of which record and indexes may not fit each other, for a
-- closer look. It looks at what costs little, so not all that it gives are broken. Writes nothing.
-- Caller: store/evidence/whole.py inspect_runs, for engine/doctor.
-- Names: runs: their ids, a few hundred at most.
-- Gives {run id ...}.
--@ include lists
--@ include ids
--@ include keys
--@ include limits/held
--@ constants STATE_PENDING STATE_SCHEDULED STATE_WAITING STATE_PAUSED PARKED_LIMIT
--@ keys claims due deadlines waiting_lists
--@ args ns runs*

local function lacks(index, member) return not soft('ZSCORE', index, member) end

-- Whether nothing may lead to a run that waits for a claim.
local function is_nowhere(row, member)
  local queue, runner = row[5] or '', row[12] or ''
  if (row[3] or '') == '' or not is_queue(queue) then return true end
  if stands_in_line(run_id_of(member), row[15], ns) then return false end
  local lane = row[14] or ''
  if lane ~= '' and not lacks(lane_of(ns, queue, lane), member) then
    return lacks(lanes_of(ns, queue), lane) or soft('SISMEMBER', laned_of(ns), queue) ~= 1
  end
  if (row[8] or '') == '' then return lacks(queued_at_of(ns, queue), member) end
  return soft('SISMEMBER', waiting_lists_key, queue .. '|' .. runner) ~= 1
    or (soft('LLEN', waiting_list_of(ns, queue, runner)) or 0) == 0
end

-- row: state, token, delivery, due, queue, deadline, stop, unroutable, ended, parked, children,
-- runner, rev, lane, held.
local function is_suspect(id, run, row)
  local state, member, due = row[1], run_member(id), row[4] or ''
  if not row[13] or (row[9] or '') ~= '' then return true end
  local deadline = (row[6] or '') ~= '' and (row[7] or '') == '' and state ~= STATE_PAUSED
  if deadline and lacks(deadlines_key, id) then return true end
  if (row[2] or '') ~= '' then return lacks(claims_key, member) end
  if state == STATE_PENDING then return is_nowhere(row, member) end
  if state == STATE_SCHEDULED then return lacks(due_key, member) end
  if state ~= STATE_WAITING then return false end
  if row[10] == PARKED_LIMIT or (due ~= '' and lacks(due_key, member)) then return true end
  return row[11] or redis.call('EXISTS', run .. ':mail', run .. ':replies') > 0
end

local found = {}
for _, id in ipairs(table_of(runs)) do
  local run = run_of(ns, id)
  local row = is_run_id(id) and soft('HMGET', run, 'state', 'token', 'delivery', 'due', 'queue',
    'deadline', 'stop', 'unroutable', 'ended', 'parked', 'children', 'runner', 'rev', 'lane',
    'held')
  if not row or is_suspect(id, run, row) then found[#found + 1] = id end
end
return found
