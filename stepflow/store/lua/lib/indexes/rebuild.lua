-- Go through a small page of the live runs, and put back what an index lost of them.
--@ include total clock ids keys limits/held lanes/join indexes/by_runner
--@ constants STATE_PENDING STATE_SCHEDULED STATE_WAITING STATE_PAUSED

-- Which page follows from the time and from this worker's place among the live ones. Together they
-- look at 20 runs a second, at more when there are so many that they would not come by all of them
-- in five minutes, and at 320 at most. One scan that comes late leaves no gap: pages overlap.
local function page_of(live, workers, worker, now)
  local all, rank = soft('ZCARD', live) or 0, 0
  if all == 0 then return {} end
  local names = redis.call('ZRANGE', workers, 0, -1)
  for _, name in ipairs(names) do if name < worker then rank = rank + 1 end end
  local cycle = math.max(1, math.min(300, all / 20), all / 320)
  local share = math.ceil(1.25 * all / cycle / #names)
  if share >= all then return redis.call('ZRANGE', live, 0, -1) end
  local first = (math.floor(now % cycle / cycle * all) + share * rank) % all
  return redis.call('ZRANGE', live, first, first + share - 1)
end

-- What the record says stands in an index again: a claim with a lease from now, a due time, a mark
-- in its queue, a deadline. index: claims, due, deadlines, ns, lease. Gives whether one was
-- missing.
local function restore(id, row, now, index)
  local state, token, delivery, queue = row[1], row[2] or '', row[3] or '', row[5] or ''
  local member, added = run_member(id), 0
  local due, deadline = moment(row[4]), moment(row[6])
  if token ~= '' then
    added = redis.call('ZADD', index.claims, 'NX', stamp_of(now + index.lease), member)
  elseif delivery ~= '' and (state == STATE_SCHEDULED or state == STATE_WAITING) then
    if due and due < 1e12 then added = redis.call('ZADD', index.due, 'NX', row[4], member) end
  elseif delivery ~= '' and state == STATE_PENDING and not row[8] and is_queue(queue)
    and not stands_in_line(id, row[16], index.ns) then
    added = restore_place(index.ns, queue, row[15], member, now)
  end
  local stands = state == STATE_PAUSED and (row[12] or '') == '' -- set aside, perhaps
  if deadline and deadline < 1e12 and (row[7] or '') == '' and not stands then
    added = added + redis.call('ZADD', index.deadlines, 'NX', row[6], id)
  end
  return added > 0
end

-- Gives {run put back ...}, and {parent, listed child whose record is gone ...}. The script that
-- makes a child lists it, and its end takes it off the list, so one that is listed and not there is
-- gone.
local function rebuild(live, page, now, index, strays)
  local restored, orphans, of_runners = {}, {}, {}
  for _, id in ipairs(page) do
    local run = run_of(index.ns, id)
    local row = is_run_id(id) and soft('HMGET', run, 'state', 'token', 'delivery', 'due', 'queue',
      'deadline', 'stop', 'unroutable', 'ended', 'children', 'generation', 'pause', 'runner',
      'created', 'lane', 'held') or {}
    if not row[1] and redis.call('EXISTS', run) == 0 then
      redis.call('ZREM', live, id)
      strays[#strays + 1] = live .. ' ' .. id
    elseif row[1] and (row[9] or '') == '' then
      note_runner(of_runners, id, row[13], row[14])
      if restore(id, row, now, index) then restored[#restored + 1] = id end
      local listed = row[10] and soft('SRANDMEMBER', children_of(run, row[11] or '0'), 3) or {}
      for _, child in ipairs(listed) do
        if redis.call('EXISTS', run_of(index.ns, child)) == 0 then
          orphans[#orphans + 1] = id
          orphans[#orphans + 1] = child
        end
      end
    end
  end
  list_under_runners(of_runners, index.ns)
  return restored, orphans
end
