-- Included, after lib/total, lib/fields, lib/guard, lib/job, lib/enqueue, lib/hook, lib/publish, lib/wake and lib/family. What `finish_run` says, whose KEYS and
-- ARGV it reads. With a note (`finish_untold`) the end is noted for hooks that nobody has announced yet; it is refused
-- when they have been meanwhile, so that its caller looks again.
local function finish(note)
  local refused = refusal(KEYS[1], KEYS[3], KEYS[6], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
  if refused then return refused end
  if note and redis.call('HEXISTS', note.hooks, note.runner) == 1 then return {0, '', ''} end
  local member, run_id = ARGV[5], ARGV[8]
  local gone, kin = tonumber(ARGV[20]), 27 + 2 * tonumber(ARGV[19])
  if gone > 0 then soft('HDEL', KEYS[4], unpack(ARGV, 21, 20 + gone)) end
  local at = set_fields(KEYS[3], set_fields(KEYS[2], set_fields(KEYS[1], set_fields(KEYS[4], 21 + gone))))
  redis.call('DEL', KEYS[7])
  redis.call('ZREM', KEYS[6], member)
  soft('ZREM', KEYS[8], ARGV[6])
  if ARGV[7] ~= '' then
    redis.call('ZREM', KEYS[13], member)
    soft('ZREM', KEYS[14], ARGV[7])
    soft('ZREM', KEYS[15], member)
  end
  redis.call('ZREM', KEYS[12], run_id)
  soft('ZREM', KEYS[9], run_id)
  soft('ZADD', KEYS[10], ARGV[9], run_id)
  soft('ZADD', KEYS[11], ARGV[11], ARGV[12])
  for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[10]) end
  if redis.call('EXISTS', KEYS[4], KEYS[5], unpack(KEYS, 20, 25)) > 0 then -- most runs have none of these
    for i = 4, 5 do redis.call('EXPIRE', KEYS[i], ARGV[10]) end
    for i = 20, 25 do redis.call('EXPIRE', KEYS[i], ARGV[10]) end
    redis.call('ZREM', KEYS[26], run_id)
  end
  local to = {list = KEYS[16], queued_at = KEYS[17], wake = KEYS[18], queues = KEYS[19], now = ARGV[15], rq_time = ARGV[16],
    ns = ARGV[17], queue = ARGV[18]}
  for i = 27, kin - 1, 2 do at = leave_hook(to, KEYS[i], KEYS[i + 1], at) end
  if ARGV[at] then tell_family(kin, at, KEYS[1], run_id, ARGV[10], to) end
  if note then
    redis.call('ZADD', note.key, ARGV[15], note.text)
    redis.call('ZREMRANGEBYSCORE', note.key, '-inf', ARGV[15] - ARGV[10])
    redis.call('ZREMRANGEBYRANK', note.key, 0, -1 - note.most)
    redis.call('EXPIRE', note.key, ARGV[10])
  end
  publish(ARGV[13], ARGV[14])
  return {1}
end
