-- Keys that one run at a time has: of a singleton while it lives, of a debounced run until it is due.
--@ include total
--@ include keys
--@ constants STATE_SCHEDULED

-- Give the run that has a key, other than *own* and *ousted*; nil where it is free. The key of a run
-- that is gone, or that another version has ended, is free. waits: 1 for a key that counts only
-- while its run waits for its first time.
local function holder_of(once, name, ns, own, ousted, waits)
  local holder = soft('GET', once)
  if not holder or holder == own or holder == ousted then return nil end
  local row = soft('HMGET', run_of(ns, holder), 'once', 'ended', 'state', 'started')
  if not row or row[1] ~= name or (row[2] or '') ~= '' then return nil end
  if waits == '1' and (row[3] ~= STATE_SCHEDULED or row[4]) then return nil end
  return holder
end

-- Give a key back, should the run have it.
local function leave_once(once, run_id)
  if soft('GET', once) == run_id then redis.call('DEL', once) end
end
