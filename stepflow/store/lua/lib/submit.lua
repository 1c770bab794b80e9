-- Included, after lib/total, lib/fields, lib/job and lib/enqueue. What `submit_run` says, whose KEYS and ARGV it reads; the child of a map that
-- is made waiting stands in the state it is given, until another's end hands it over (_family). A fork names its
-- origin's journal and variables, what that was told by its children, and where it keeps the same.
local function submit(stands, origin)
  local run, member, created, due, id, queue = KEYS[1], ARGV[3], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
  local row = redis.call('HMGET', run, 'rev', 'submit_id')
  if row[1] then
    if row[2] == ARGV[1] then return {1} end
    if row[1] ~= ARGV[2] then return {0, redis.call('HGETALL', run)} end
    redis.call('DEL', run, KEYS[2], KEYS[3], KEYS[4], KEYS[5], unpack(KEYS, 19, 24))
    redis.call('ZREM', KEYS[16], ARGV[4])
    redis.call('ZREM', KEYS[18], ARGV[4])
    if ARGV[13] ~= '' then redis.call('ZREM', KEYS[17], ARGV[13]) end
  end
  if origin then
    local n = tonumber(ARGV[#ARGV - 1])
    if redis.call('LINDEX', origin.journal, n) ~= ARGV[#ARGV] then return {0, {}} end
    redis.call('DEL', KEYS[19])
    if n > 0 then
      redis.call('COPY', origin.journal, KEYS[19])
      redis.call('LTRIM', KEYS[19], 0, n - 1)
      redis.call('PERSIST', KEYS[19])
      if redis.call('COPY', origin.told, origin.own) == 1 then
        redis.call('PERSIST', origin.own)
        redis.call('HSET', run, 'children', '1')
      end
    end
    if redis.call('COPY', origin.variables, KEYS[22], 'REPLACE') == 1 then redis.call('PERSIST', KEYS[22]) end
  end
  set_fields(KEYS[2], set_fields(run, 14))
  redis.call('ZADD', KEYS[11], created, ARGV[4])
  soft('ZADD', KEYS[12], created, ARGV[4])
  redis.call('SADD', KEYS[10], KEYS[7])
  if ARGV[11] ~= '' then redis.call('ZADD', KEYS[13], ARGV[11], ARGV[4]) end
  if stands then
    redis.call('HSET', run, 'state', stands, 'parked', 'limit')
  elseif due == '' then
    write_job(KEYS[6], id, ARGV[10], 'run_step', queue, 'queued', ARGV[9])
    enqueue(KEYS[7], KEYS[8], KEYS[9], id, member, created)
  else
    if ARGV[12] == '1' then write_job(KEYS[6], id, ARGV[10], 'run_step', queue, 'scheduled', ARGV[9]) end
    delay(KEYS[14], KEYS[15], KEYS[9], id, member, due, ARGV[12] == '1')
  end
  return {1}
end
