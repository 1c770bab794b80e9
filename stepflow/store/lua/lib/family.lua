-- Included, after lib/total, lib/wake, lib/hook and lib/map. What the end of a run means to its family: what it kept of its own children lives as long as its
-- record; its parent is told, once, in the same write. A parent that only waits for its children to be gone (rest 2) hears of
-- the last one.
-- KEYS from k: for a run with children: children, answers, maps, hook, job; for one with a parent, of that: run, children,
--   answers, maps, list, queued_at, wake, due, scheduled, then list, queued_at and wake of the run's own queue
-- ARGV from at: 0, or 1 and the hook that stops the children, where some live, as lib/hook has it; then for a child: 1 member of
--   the parent  2 its generation  3 its rq queue  4 own rq queue  5 'ok' or 'bad'  6 packed outcome  7 stem of the map or ''
--   8 pending state  9 start of the channels' names  10 message

-- hooks: where hooks are left, as lib/hook has it.
local function tell_family(k, at, run, run_id, ttl, hooks)
  local now, rq_time, ns = hooks.now, hooks.rq_time, hooks.ns
  if ARGV[at] == '1' then
    for i = k, k + 2 do redis.call('EXPIRE', KEYS[i], ttl) end
    if redis.call('EXISTS', KEYS[k]) == 1 then at = leave_hook(hooks, KEYS[k + 3], KEYS[k + 4], at + 1) - 1
    else at = at + 3 + tonumber(ARGV[at + 3]) end
    k = k + 5
  end
  if not ARGV[at + 1] then return end
  local parent, answers, maps, stem = KEYS[k], KEYS[k + 2], KEYS[k + 3], ARGV[at + 7]
  soft('SREM', KEYS[k + 1], run_id)
  local row = soft('HMGET', parent, 'rev', 'parked', 'token', 'delivery', 'generation', 'ended', 'stop', 'cleanup', 'state')
  if not row or not row[9] or (row[5] or '0') ~= ARGV[at + 2] or soft('HEXISTS', answers, run_id) == 1 then return end
  local goal = stem ~= '' and soft('HGET', maps, stem .. '.goal')
  local number, settled, total = 0, stem == '', 0
  if goal then number, settled, total = count(maps, answers, stem, goal, ARGV[at + 5]) end
  put(answers, run_id, number .. '|' .. ARGV[at + 6])
  if (row[6] or '') ~= '' then
    redis.call('PEXPIRE', answers, redis.call('PTTL', parent))
    return
  end
  local state, is_stopping = ARGV[at + 8], row[8] == '2'
  if is_stopping then settled = (soft('SCARD', KEYS[k + 1]) or 0) == 0 end
  if settled then
    wake(parent, row, ARGV[at + 1], {
      list = KEYS[k + 4], queued_at = KEYS[k + 5], wake = KEYS[k + 6], due = KEYS[k + 7], scheduled = KEYS[k + 8], now = now,
      rq_time = rq_time, ns = ns, queue = ARGV[at + 3], state = state, channels = ARGV[at + 9], message = ARGV[at + 10],
    })
  elseif goal and not is_stopping and (row[7] or '') == '' and redis.call('HGET', run, 'parked') ~= 'limit' then
    release(maps, answers, stem, total, {
      list = KEYS[k + 9], queued_at = KEYS[k + 10], wake = KEYS[k + 11], now = now, rq_time = rq_time, ns = ns,
      queue = ARGV[at + 4], state = state,
    })
  end
end
