-- Write hook deliveries: for each its record, its RQ job and its place in the hook queue.
-- to: list, queued_at, wake and name of the hook queue, live: the hooks in progress, rq_queues, now,
-- rq_time, ns.
--@ include lists
--@ include job
--@ include enqueue

-- Write the one that stands at *at* of *hooks*, as rq id, member, number of fields, fields; give
-- the position after it.
local function leave_hook(to, record, job, hooks, at)
  local id, member, last = hooks[at], hooks[at + 1], at + 2 + hooks[at + 2]
  put(record, unpack(hooks, at + 3, last))
  write_job(job, id, to.ns, 'run_hook', to.queue, 'queued', to.rq_time)
  enqueue(to.list, to.queued_at, to.wake, id, member, to.now)
  soft('ZADD', to.live, to.now, string.sub(member, 6))
  redis.call('SADD', to.rq_queues, to.list)
  return last + 1
end

-- Write all of *hooks*; *keys* are the record and the job of each.
local function leave_hooks(to, keys, hooks)
  local at = 1
  for i = 1, #keys, 2 do at = leave_hook(to, keys[i], keys[i + 1], hooks, at) end
end
