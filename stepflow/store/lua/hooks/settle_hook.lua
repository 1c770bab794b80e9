-- Settle a hook's delivery as delivered with all that the hook has written: runs, and values of the
-- run that it was told of. All, or nothing where the claim is gone or the id of a run is taken.
-- Caller: store/runs/of_hook.py settle_hook, for worker/notify.py.
-- Names: those of `commit_hook`; told, kv, generation: the run that it was told of; run: the records
-- of the runs to make; made: of each run seven keys more, those of its tags and its level; runs: of
-- each thirteen arguments, then its fields and its data; deleted, written: of its values.
-- Gives {1, 1} settled, {1, 0} when the values had no run any more, {2} for a second arrival, {0}
-- when the claim is not the caller's, {3, which, fields} for a run that is there.
--@ include lists
--@ include job
--@ include enqueue
--@ constants PARKED_LIMIT
--@ keys hook claims claimed_job wip live_hooks told kv rq_queues live deadlines due counts run* made*
--@ args token hook_member wip_member ttl_s hook_id generation ns hook_fields* runs* deleted*
--@      written*
local row = redis.call('HMGET', hook_key, 'token', 'last_token')
if row[1] ~= token then return {row[2] == token and 2 or 0} end
for which, key in ipairs(run_keys) do
  if redis.call('EXISTS', key) == 1 then return {3, which, redis.call('HGETALL', key)} end
end
local at, first = runs + 1, 1
for _, run_key in ipairs(run_keys) do
  local data_key, job_key, list_key, queued_at_key, wake_key, live_of_key, scheduled_key =
    unpack(made_keys, first, first + 6)
  local run_id, member, created, due, rq_id, queue, lane, rq_time, deadline, is_brief, counted,
    tags, levels = values_at(at, 13)
  local fields = at + 13
  local data = behind(fields)
  at, first = behind(data), first + 7
  local tag_keys = {unpack(made_keys, first, first + tags - 1)}
  local level_keys = {unpack(made_keys, first + tags, first + tags + levels - 1)}
  first = first + tags + levels
  local turn = nil
  --@ insert new_run
end
local is_kept = 1
if not (is_empty(deleted) and is_empty(written)) then
  local is_there = soft('HGET', told_key, 'rev')
  if is_there and (soft('HGET', told_key, 'generation') or '0') == generation then
    delete_fields(kv_key, deleted)
    set_fields(kv_key, written)
    local left = redis.call('PTTL', told_key)
    if left > 0 then redis.call('PEXPIRE', kv_key, left) end
  else
    is_kept = 0
  end
end
set_fields(hook_key, hook_fields)
redis.call('HSET', hook_key, 'token', '', 'last_token', token)
redis.call('ZREM', claims_key, hook_member)
soft('ZREM', wip_key, wip_member)
redis.call('DEL', claimed_job_key)
redis.call('EXPIRE', hook_key, ttl_s)
soft('ZREM', live_hooks_key, hook_id)
return {1, is_kept}
