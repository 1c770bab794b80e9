-- Included, after _fields, _job and _knock, by `finish_run`, whose KEYS and ARGV it reads. Write one hook delivery: its record,
-- its RQ job, its queue entry. ARGV from at: rq id, member, fields. Gives the position after them.
local function leave_hook(record, job, at)
  local id, member = ARGV[at], ARGV[at + 1]
  at = set_fields(record, at + 2)
  write_job(job, id, ARGV[17], 'run_hook', ARGV[18], 'queued', ARGV[16])
  knock(KEYS[16], KEYS[17], KEYS[18], id, member, ARGV[15])
  redis.call('SADD', KEYS[19], KEYS[16])
  return at
end
