-- Make a run, for each of the scripts that do.
--@ include total
--@ include lists
--@ include job
--@ include enqueue
--@ constants PARKED_LIMIT
--@ keys run data steps memo kv journal mail sent variables questions replies
--@      job list queued_at wake rq_queues live runner_index deadlines due scheduled
--@      done_index expiry old_runner_index source*
--@ args request replaces member run_id created due rq_id queue rq_time ns deadline is_brief expired
--@      fields* data* fork*
-- replaces: rev of an ended run of that id that may be replaced, or ''; expired: its member in the
-- expiry index, done_index and old_runner_index: where it stands. deadline, due: or ''.
-- source and fork: of a fork, the keys that lib/submit unpacks, and how many entries it begins with
-- and the entry that follows them there; else none.

-- Begin with what the source of a fork remembers. Gives false when it is not as the caller saw it.
local function copy_source()
  --@ unpack source_keys: source_journal source_answers answers source_variables
  --@ unpack fork: entries following
  local count = tonumber(entries)
  if redis.call('LINDEX', source_journal, count) ~= following then return false end
  redis.call('DEL', journal_key)
  if count > 0 then
    redis.call('COPY', source_journal, journal_key)
    redis.call('LTRIM', journal_key, 0, count - 1)
    redis.call('PERSIST', journal_key)
    if redis.call('COPY', source_answers, answers) == 1 then
      redis.call('PERSIST', answers)
      redis.call('HSET', run_key, 'children', '1')
    end
  end
  if redis.call('COPY', source_variables, variables_key, 'REPLACE') == 1 then
    redis.call('PERSIST', variables_key)
  end
  return true
end

-- Queue the first delivery, or put it into the due set.
local function deliver()
  if due == '' then
    write_job(job_key, rq_id, ns, 'run_step', queue, 'queued', rq_time)
    enqueue(list_key, queued_at_key, wake_key, rq_id, member, created)
  else
    local brief = is_brief == '1'
    if brief then write_job(job_key, rq_id, ns, 'run_step', queue, 'scheduled', rq_time) end
    delay(due_key, scheduled_key, wake_key, rq_id, member, due, brief)
  end
end

-- Gives {1} made (also to the second arrival of the same request), or {0, the fields of the run that
-- is there}; these are none when the source is not as the caller saw it. With *waiting*, a state,
-- the run stands in it until the end of another child of its map hands it over (lib/map).
local function submit(waiting)
  local row = redis.call('HMGET', run_key, 'rev', 'submit_id')
  if row[1] then
    if row[2] == request then return {1} end
    if row[1] ~= replaces then return {0, redis.call('HGETALL', run_key)} end
    redis.call('DEL', run_key, data_key, steps_key, memo_key, kv_key, journal_key, mail_key,
      sent_key, variables_key, questions_key, replies_key)
    redis.call('ZREM', done_index_key, run_id)
    redis.call('ZREM', old_runner_index_key, run_id)
    if expired ~= '' then redis.call('ZREM', expiry_key, expired) end
  end
  if source_keys[1] and not copy_source() then return {0, {}} end
  set_fields(run_key, fields)
  set_fields(data_key, data)
  redis.call('ZADD', live_key, created, run_id)
  soft('ZADD', runner_index_key, created, run_id)
  redis.call('SADD', rq_queues_key, list_key)
  if deadline ~= '' then redis.call('ZADD', deadlines_key, deadline, run_id) end
  if waiting then redis.call('HSET', run_key, 'state', waiting, 'parked', PARKED_LIMIT)
  else deliver() end
  return {1}
end
