-- Make a run, its step 0 and the RQ job that delivers it: all, or nothing where the run id is
-- taken.
-- Caller: store/runs/submit.py submit_run, and store/fork.py submit_fork.
-- Names: replaces: rev of an ended run of that id that may be replaced, or ''; replaced, expired: what
-- it has, as lib/runs/clear_away has them; due, deadline: or ''; is_brief: 1 or 0; counted: in what count the
-- run is; source, fork: of a fork what it begins with, and behind that, as field, value, field ..., what
-- its questions asked, else none; tag: the indexes of its tags; once,
-- waits: as lib/submit/once has them; bounded: its limits, or '' where their lines
-- may be overfilled, its key else none; ousted: the run whose place it takes, or ''.
-- Gives {1} made (also to the second arrival of the same request), {3, the run that has the key}, or
-- {4, limit, key, how many wait for it, how many may} where its line is full, or {0, the fields of the run
-- that is there}; these are none when the source of a fork is not as the fork's caller saw it.
--@ include lists
--@ include job
--@ include enqueue
--@ lazily runs/clear_away: clear_away
--@ include limits/at
--@ lazily limits/full: join_limits
--@ lazily submit/once: holder_of
--@ constants PARKED_LIMIT
--@ keys run data job list queued_at wake rq_queues live live_of deadlines due scheduled counts
--@      source* tag* level* once* replaced*
--@ args request replaces member run_id created due rq_id queue lane rq_time ns deadline is_brief
--@      expired counted bounded once ousted waits fields* data* fork*
if once_keys[1] and soft('HGET', run_key, 'submit_id') ~= request then
  local holder = holder_of(once_keys[1], once, ns, run_id, ousted, waits)
  if holder then return {3, holder} end
end
--@ insert room_for_run
if once_keys[1] then redis.call('SET', once_keys[1], run_id) end
if source_keys[1] then
  --@ unpack source_keys: source_journal source_answers source_variables source_kv
  --@                     journal answers variables kv replies
  --@ items fork: entries following
  local count = tonumber(entries)
  if redis.call('LINDEX', source_journal, count) ~= following then return {0, {}} end
  redis.call('DEL', journal)
  if count > 0 then
    redis.call('COPY', source_journal, journal)
    redis.call('LTRIM', journal, 0, count - 1)
    redis.call('PERSIST', journal)
    if redis.call('COPY', source_answers, answers) == 1 then
      redis.call('PERSIST', answers)
      redis.call('HSET', run_key, 'children', '1')
    end
  end
  if redis.call('COPY', source_variables, variables, 'REPLACE') == 1 then
    redis.call('PERSIST', variables)
  end
  if source_kv ~= kv and redis.call('COPY', source_kv, kv, 'REPLACE') == 1 then
    redis.call('PERSIST', kv)
  end
  set_fields_after(replies, fork, 2)
end
local turn = nil
--@ insert new_run
return {1}
