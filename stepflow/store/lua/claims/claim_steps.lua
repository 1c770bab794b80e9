-- Take deliveries out of queues and give this worker the exclusive, expiring right to settle each.
-- A popped id counts only when the record waits for it and it is due; others are dropped. One whose
-- runner this worker does not know goes to the waiting list of that runner; a job that is not ours
-- to RQ's failed registry. One that its limits keep back goes to the line of the first of them.
-- Caller: store/claims.py claim_steps. Never sent twice: after a lost reply the worker lists what
-- stands under its name.
-- Names: given: now, or ''; stem, first_number: of the tokens; live_workers: that share the queue;
-- source: for each its list, queued_at, wip, wake; queues: the RQ queue of each; runners: that this
-- worker knows; refusal_text: what RQ shows of a job that is not ours.
-- Gives {now, waiting, next due or '', {rq id, token, run hash, data hash} ...}; waiting is -1
-- while RQ is suspended. A queue that is paused counts as empty. The token is '' where nothing was
-- taken, for the record cannot be read; a key that holds no hash is false.
--@ include lists clock ids keys
--@ include sources
--@ include enqueue
--@ include limits/at
--@ lazily limits/admit: admit
--@ keys claims suspended paused_queues laned waiting_lists due source*
--@ args given ns prefix stem first_number lease_s limit live_workers worker rq_time running
--@      refusal_text runners* queues*
local now, limit = clock(given), tonumber(limit)
local is_held = redis.call('EXISTS', suspended_key, paused_queues_key, laned_key) > 0
if is_held and redis.call('EXISTS', suspended_key) == 1 then return {stamp_of(now), -1, ''} end
local known, sources, waiting, at = {}, {}, 0, limits_at(ns, prefix, now)
for _, runner in ipairs(table_of(runners)) do known[runner] = true end
for number, queue in ipairs(table_of(queues)) do
  local source = source_of(queue, is_held and paused_queues_key,
    unpack(source_keys, 4 * number - 3, 4 * number))
  if is_held then refill_source(source, ns, laned_key, limit, now) end
  source.waiting_lists, source.ns, source.now = waiting_lists_key, ns, now
  waiting, sources[number] = waiting + source.left, source
end
local take = math.min(limit, math.ceil(waiting / math.max(1, tonumber(live_workers))))
local lease, number = stamp_of(now + tonumber(lease_s)), tonumber(first_number)
local taken, popped, budget, busy = {}, 0, 4 * limit + 64, {}

local function take_in(...) taken[#taken + 1] = {...} end

-- One whose record cannot be claimed is left as it is; the caller sets it aside.
local function cannot_read(id, run) take_in(id, '', soft('HGETALL', run) or false, false) end

local function try(id, source)
  local member = member_of_rq_id(id, prefix)
  if not member then return refuse_foreign(id, source.queue, now, rq_time, refusal_text) end
  local run = record_of(ns, member)
  local row = soft('HMGET', run, 'delivery', 'due', 'runner', 'rev', 'started', 'unroutable',
    'limits')
  if not row then return cannot_read(id, run) end
  if row[1] ~= id or (tonumber(row[2]) or 0) > now then return end
  if not whole(row[4]) then return cannot_read(id, run) end
  if not known[row[3]] and not is_runner(row[3] or '') then return cannot_read(id, run) end
  if not known[row[3]] then return set_aside(id, member, run, row[3], source) end
  local token = stem .. number .. '.'
  if row[7] and not admit(at, run_id_of(member), token) then return leave_queue(source, member) end
  number = number + 1
  redis.call('HSET', run, 'rev', row[4] + 1, 'token', token, 'claimed_id', id, 'delivery', '',
    'state', running, 'started', row[5] or stamp_of(now))
  if row[6] then redis.call('HDEL', run, 'unroutable') end
  note_claim(source, member, lease, id .. ':' .. token)
  put(job_of(id), 'status', 'started', 'started_at', rq_time, 'worker_name', worker)
  take_in(id, token, redis.call('HGETALL', run), soft('HGETALL', data_of(run)) or false)
end

for _, source in ipairs(sources) do
  while #taken < take and source.left > 0 and popped < budget do
    local ids = redis.call('LPOP', source.list, math.min(take - #taken, source.left)) or {}
    for _, id in ipairs(ids) do
      popped, source.left, waiting = popped + 1, source.left - 1, waiting - 1
      try(id, source)
    end
  end
  write_claims(source, claims_key)
  if source.is_laned then
    waiting = waiting - source.left + refill_source(source, ns, laned_key, 0, now)
  end
  busy[source.wake] = busy[source.wake] or source.left > 0
end
for wake, has_jobs in pairs(busy) do leave_token(wake, has_jobs) end
local next_due = redis.call('ZRANGE', due_key, 0, 0, 'WITHSCORES')[2] or ''
return {stamp_of(now), waiting, next_due, unpack(taken)}
