-- Included, after lib/fields, lib/job and lib/enqueue. Write one hook delivery: its record, its RQ job, its queue entry.
-- to: list, queued_at, wake and name of the hook queue, rq:queues, now, rq_time, ns. ARGV from at: rq id, member, fields.
-- Gives the position after them.
local function leave_hook(to, record, job, at)
  local id, member = ARGV[at], ARGV[at + 1]
  at = set_fields(record, at + 2)
  write_job(job, id, to.ns, 'run_hook', to.queue, 'queued', to.rq_time)
  enqueue(to.list, to.queued_at, to.wake, id, member, to.now)
  redis.call('SADD', to.queues, to.list)
  return at
end
