-- How the first in the line of a limit get their turn: runs, and steps on behalf of theirs.
--@ include limits/line
--@ include wake
--@ include lanes/levels
--@ constants STATE_PENDING

-- Heads of a line that one script looks at.
local MOST_HEADS = 64

-- Put a delivery to the front of its queue.
local function put_first(at, queue, delivery, run_id)
  local list, queued_at = list_of(queue), queued_at_of(at.ns, queue)
  local first = soft('LINDEX', list, 0) -- a mark older than that of the head would count as lost
  local before = first and soft('ZSCORE', queued_at, member_of_rq_id(first, at.prefix) or '')
  soft('LPUSH', list, delivery)
  soft('ZADD', queued_at, stamp_of(math.min(at.now, tonumber(before or at.now))),
    run_member(run_id))
  leave_token(wake_of(at.ns, queue), true)
  note_level(at.ns, queue)
end

-- Wake the run of a step, through its inbox.
local function wake_run_of(at, step)
  local queue, run_id = step.queue, step.run_id
  local row = soft('HMGET', step.record, 'rev', 'parked', 'token', 'delivery')
  wake(step.record, row, run_member(run_id), {
    queue = queue, due = at.ns .. ':due', scheduled = scheduled_of(queue), now = stamp_of(at.now),
    rq_time = at.rq_time, ns = at.ns, state = STATE_PENDING, channels = tell_of(at.ns),
    message = run_id .. '|inbox||',
    put = function(delivery) put_first(at, queue, delivery, run_id) end,
  })
end

-- Hand a run over whose turn has come: it goes to the front of its queue, for it has waited there.
local function call_up(at, run)
  local time = stamp_of(at.now)
  for _, use in ipairs(run.uses) do
    soft('ZADD', use.limit.called, time, run.id)
    redis.call('EXPIRE', use.limit.called, 60)
    stand_ahead(use.limit, time, run.id)
  end
  if run.step then wake_run_of(at, run)
  else put_first(at, run.queue, run.delivery, run.id) end
end

-- Give the first in line their turn, as many as there is room for.
local function call_heads(at, limit)
  for _ = 1, MOST_HEADS do
    local head = (soft('ZRANGE', limit.line, 0, 0) or {})[1]
    if not head then
      soft('SREM', lines_of(at.ns), limit.member)
      return
    end
    local run = waiter_of(at, head)
    local mine = limit.member .. '|'
    if not run or string.sub(run.held, 1, #mine) ~= mine then
      soft('ZREM', limit.line, head) -- it has ended, or waits elsewhere
    else
      local other, from = obstacle(at, run)
      if other == limit then
        if from then look_again(at, limit, from, run.queue) end
        return
      end
      soft('ZREM', limit.line, head)
      if other then stand_in_line(at, run, other, from) else call_up(at, run) end
    end
  end
end
