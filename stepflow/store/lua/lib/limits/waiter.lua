-- A run that asks for room in its limits: its place in their lines, and what it has to wait for.
--@ include limits/limit
--@ include limits/ask
--@ include ids

-- Places of one priority in a line come before those of the next.
local function rank_of(queue)
  local level = string.match(queue, '%.level(%d)$') or string.find(queue, '%.high$') and 2
    or string.find(queue, '%.low$') and 8 or 5
  return level * 1e10
end

local function since_of(held, now) return tonumber(string.match(held, '|([%d.]+)$') or now) end

-- A step that waits, as `waiter_of` gives a run; nil for one that does not. Each attempt is a begin.
local function waiting_step(at, run_id, step)
  local ask = ask_of(at, run_id, step)
  local row = ask and soft('HMGET', ask.record, 'queue', 'ended')
  if not row or (row[2] or '') ~= '' or not is_queue(row[1] or '') then return nil end
  ask.queue, ask.rank, ask.begins = row[1], rank_of(row[1]), true
  ask.since, ask.uses = since_of(ask.held, at.now), limits_in(at, ask.limits)
  return ask
end

-- Read what a run is that waits for a claim; nil for one that waits for none.
-- A begin counts for rates: the first, and each that repeats a step. To go on is none.
local function waiter_of(at, run_id)
  if string.find(run_id, '/', 1, true) then return waiting_step(at, split_step(run_id)) end
  local record = run_of(at.ns, run_id)
  local row = soft('HMGET', record, 'delivery', 'queue', 'limits', 'held', 'started', 'failures',
    'crashes', 'handoff')
  if not row or (row[1] or '') == '' or not is_queue(row[2] or '') then return nil end
  local function is_some(count) return (count or '0') ~= '0' end
  return {
    id = run_id, record = record, delivery = row[1], queue = row[2], held = row[4] or '',
    uses = limits_in(at, row[3] or ''), rank = rank_of(row[2]),
    since = since_of(row[4] or '', at.now),
    started = tonumber(row[5] or at.now) or at.now,
    begins = not row[5] or is_some(row[6]) or is_some(row[7]) or is_some(row[8]),
  }
end

-- Where it stands in the line of a limit: by priority, then since when it waits. In a line for a rate, who has begun goes before who has not.
local function place_in_line(run, limit)
  local since = limit.interval and not run.begins and run.started or run.since
  return string.format('%.6f', run.rank + since)
end

-- Give the first limit that it has to wait for, and when that has room, where a time says so.
local function obstacle(at, run)
  for _, use in ipairs(run.uses) do
    local limit = use.limit
    local has_room, from, is_called = room(at, limit, run.id, run.begins and use.units or 0)
    if not is_called and not soft('ZSCORE', limit.slots, run.id) then
      local first = soft('ZRANGE', limit.line, 0, 0, 'WITHSCORES') or {}
      local ahead = first[1] and first[1] ~= run.id
        and tonumber(place_in_line(run, limit)) - tonumber(first[2]) or -1
      if ahead > 0 or (ahead == 0 and run.begins and run.held == '') then return limit end
    end
    if not has_room then return limit, from end
  end
end
