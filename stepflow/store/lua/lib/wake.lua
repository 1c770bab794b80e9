-- Wake a run that stands parked. One whose record is damaged is handed over as well: its claim sees
-- what is wrong with it, and it does not stand where nobody looks.
-- to: list, queued_at, wake and name of its queue, its lane if it has one, now, rq_time, ns, the state it is to be in, and
-- for `wake` the due set, the scheduled registry, the start of the channels' names, the message.
--@ include total
--@ include keys
--@ include job
--@ include enqueue
--@ include publish
--@ constants PARKED_INBOX

-- Hand it over: its delivery goes to the end of its queue, or where `to.put` puts it.
local function rouse(run, rev, id, member, to)
  local seen = whole(rev)
  redis.call('HSET', run, 'rev', seen and seen + 1 or rev or '', 'state', to.state,
    'parked', '', 'due', '', 'updated', to.now)
  write_job(job_of(id), id, to.ns, 'run_step', to.queue, 'queued', to.rq_time)
  if to.put then return to.put(id) end
  enqueue(to.list, to.queued_at, to.wake, id, member, to.now,
    lane_in(to.ns, to.queue, to.lane))
end

-- Something came into its inbox: count it, then hand the run over if it is parked on that, or
-- notify the worker that has claimed it. row: rev, parked, token, delivery. Gives whether the run
-- hears of it now.
local function wake(run, row, member, to)
  count_up(run, 'inbox')
  if row[2] == PARKED_INBOX and (row[4] or '') ~= '' then
    redis.call('ZREM', to.due, member)
    soft('ZREM', to.scheduled, row[4])
    rouse(run, row[1], row[4], member, to)
    return true
  elseif row[3] and row[3] ~= '' then
    publish(to.channels .. (string.match(row[3], '^[^.]+') or ''), to.message)
    return true
  end
  return false
end
