-- End the run: its record gets its last fields and its time to live, whatever stood for it is taken
-- away, its hooks are written, waiters are notified: in one write, so a crash loses none. An end
-- whose app no worker has ever announced the terminal hooks of is noted for the worker that does.
-- Caller: store/runs/end.py finish_run, for worker/commit.py, engine/cancel.py and worker/recover.py.
-- Names: as lib/guard has them; claimed_job, wip_member: of the claim that ends; delivery: the rq
-- id that waited, or ''; has_deadline, has_tags: 1 or 0; hook, hooks: as lib/hook has them; own,
-- stop_hook, parent: as lib/family_update has them; note: where hooks are announced and ends noted,
-- then runner, text, most notes; schedule: its record, and a wake list; archive, archived: where the
-- end waits to be archived, and its note; group: its record, its live and its failed members, and a
-- wake list; counts, counted: where and in what an end without a worker is counted. Each may be none.
-- Gives {1}, {2} for a second arrival, or {0, rev, token} when the run is not as the caller saw it,
-- or the hooks of a noted end were announced since.
--@ include lists guard publish indexes/tags
--@ lazily limits/admit: give_back
--@ lazily hook: leave_hooks
--@ lazily family_update: leave_children
--@ lazily family_update: tell_parent
--@ lazily submit/once: leave_once
--@ lazily groups/count: count_member
--@ keys run data steps kv memo claims claimed_job wip live live_of ended ended_of expiry deadlines due
--@      scheduled hook_list hook_queued_at hook_wake live_hooks rq_queues journal mail sent
--@      variables questions replies output questions_index hook* own* parent* note* counts* schedule*
--@      group* queued* once* archive*
--@ args rev token fence lapsed member wip_member delivery run_id ttl_s output_ttl_s keeps_all expires_at
--@      expiry_member has_deadline has_tags channel message now rq_time ns hook_queue
--@      deleted* written* fields* data* records* hooks* stop_hook* parent* note* counted* limited* archived*
local refused = refusal(run_key, steps_key, claims_key, rev, token, fence, lapsed, member)
if refused then return refused end
--@ unpack note_keys: app_hooks notes
--@ items note: runner text most
if notes and redis.call('HEXISTS', app_hooks, runner) == 1 then return {0, '', ''} end
delete_fields(kv_key, deleted)
set_fields(kv_key, written)
set_fields(run_key, fields)
set_fields(data_key, data)
set_fields(steps_key, records)
redis.call('DEL', claimed_job_key)
give_back(items(limited))
redis.call('ZREM', claims_key, member)
soft('ZREM', wip_key, wip_member)
if delivery ~= '' then
  redis.call('ZREM', due_key, member)
  soft('ZREM', scheduled_key, delivery)
  for _, queued in ipairs(queued_keys) do soft('ZREM', queued, member) end
end
if has_deadline == '1' then redis.call('ZREM', deadlines_key, run_id) end
move_to_ended(live_key, live_of_key, ended_key, ended_of_key, now, run_id)
local tags = has_tags == '1' and tags_of(data_key) or ''
if tags ~= '' then score_tags(ns, tags, now, run_id) end
soft('ZADD', expiry_key, expires_at, expiring(expiry_member, tags))
--@ insert runs/expire
if hook_keys[1] or own_keys[1] or parent_keys[1] then
  local to = {
    list = hook_list_key, queued_at = hook_queued_at_key, wake = hook_wake_key, queue = hook_queue,
    live = live_hooks_key, rq_queues = rq_queues_key, now = now, rq_time = rq_time, ns = ns,
  }
  if hook_keys[1] then leave_hooks(to, hook_keys, table_of(hooks)) end
  if own_keys[1] then leave_children(own_keys, table_of(stop_hook), ttl_s, to) end
  if parent_keys[1] then tell_parent(parent_keys, {items(parent)}, run_key, run_id, to) end
end
if archive_keys[1] then soft('ZADD', archive_keys[1], now, items(archived)) end
if notes then
  redis.call('ZADD', notes, now, text)
  redis.call('ZREMRANGEBYSCORE', notes, '-inf', now - ttl_s)
  redis.call('ZREMRANGEBYRANK', notes, 0, -1 - most)
  redis.call('EXPIRE', notes, ttl_s)
end
if schedule_keys[1] then
  --@ unpack schedule_keys: schedule schedule_wake
  --@ insert schedules/wake
end
if group_keys[1] then
  --@ unpack group_keys: group group_live group_failed group_wake
  count_member(group, group_live, group_failed, message, run_id,
    {due = due_key, wake = group_wake, now = now, ns = ns})
end
if counts_keys[1] then count_fields(counts_keys[1], counted) end
if once_keys[1] then leave_once(once_keys[1], run_id) end
publish(channel, message)
return {1}
