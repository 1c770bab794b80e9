-- What the end of a run writes for its children and for its parent. Python's side:
-- store/family_update.py.
--@ include total
--@ include hook
--@ include wake
--@ include map
--@ constants CLEANUP_STARTED PARKED_LIMIT

-- What the run kept of its own children lives as long as its record. Where some of them live, a
-- delivery is left that stops them. to: as lib/hook has it.
local function leave_children(own_keys, stop_hook, ttl_s, to)
  --@ unpack own_keys: children answers maps hook job
  redis.call('EXPIRE', children, ttl_s)
  redis.call('EXPIRE', answers, ttl_s)
  redis.call('EXPIRE', maps, ttl_s)
  if redis.call('EXISTS', children) == 1 then leave_hook(to, hook, job, stop_hook, 1) end
end

-- Tell the parent, once, in the same write. A parent that only waits for its children to be gone
-- (its cleanup has started) hears of the last one. Of a map that is settled it hears of each: it
-- waits until the rest has ended. own_...: of the queue of the run itself.
-- at: now, rq_time, ns.
local function tell_parent(parent_keys, parent, run, run_id, at)
  --@ unpack parent_keys: record children answers maps list queued_at wake_list due scheduled
  --@                     own_list own_queued_at own_wake
  --@ unpack parent: member generation queue own_queue word outcome group state channels message
  soft('SREM', children, run_id)
  local row = soft('HMGET', record, 'rev', 'parked', 'token', 'delivery', 'generation', 'ended',
    'stop', 'cleanup', 'state', 'lane')
  if not row or not row[9] or (row[5] or '0') ~= generation then return end
  if soft('HEXISTS', answers, run_id) == 1 then return end
  local goal = group ~= '' and soft('HGET', maps, group .. '.goal')
  local number, settled, total = 0, not goal, 0
  if goal then number, settled, total = count_end(maps, answers, group, goal, word) end
  put(answers, run_id, number .. '|' .. outcome)
  if (row[6] or '') ~= '' then
    redis.call('PEXPIRE', answers, redis.call('PTTL', record))
    return
  end
  local is_stopping = row[8] == CLEANUP_STARTED
  if is_stopping then settled = (soft('SCARD', children) or 0) == 0 end
  if settled then
    wake(record, row, member, {
      list = list, queued_at = queued_at, wake = wake_list, due = due, scheduled = scheduled,
      now = at.now, rq_time = at.rq_time, ns = at.ns, queue = queue, state = state,
      channels = channels, message = message, lane = row[10],
    })
  elseif goal and not is_stopping and (row[7] or '') == ''
    and redis.call('HGET', run, 'parked') ~= PARKED_LIMIT then
    release(maps, answers, group, total, {
      list = own_list, queued_at = own_queued_at, wake = own_wake, now = at.now,
      rq_time = at.rq_time, ns = at.ns, queue = own_queue, state = state,
    })
  end
end
