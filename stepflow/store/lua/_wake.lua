-- Included, after _job, _knock and _publish. To wake a run that stands parked.
-- to: list, pending, wake and name of its queue, now, rq_time, ns, state it is to be in, and for `wake` the due set, the
-- scheduled registry, the start of the channels' names, the message.

-- Hand it over: its delivery goes to the end of its queue.
local function rouse(run, rev, id, member, to)
  redis.call('HSET', run, 'rev', rev + 1, 'state', to.state, 'parked', '', 'due', '')
  write_job('rq:job:' .. id, id, to.ns, 'run_step', to.queue, 'queued', to.rq_time)
  knock(to.list, to.pending, to.wake, id, member, to.now)
end

-- Something came into its inbox: count it, hand the run over if it is parked on that, or tell the worker that holds it.
-- row: rev, parked, token, delivery. Gives whether the run hears of it now.
local function wake(run, row, member, to)
  redis.call('HINCRBY', run, 'inbox', 1)
  if row[2] == 'inbox' and row[4] ~= '' then
    redis.call('ZREM', to.due, member)
    redis.call('ZREM', to.scheduled, row[4])
    rouse(run, row[1], row[4], member, to)
    return true
  elseif row[3] and row[3] ~= '' then
    publish(to.channels .. string.match(row[3], '^[^.]+'), to.message)
    return true
  end
  return false
end
