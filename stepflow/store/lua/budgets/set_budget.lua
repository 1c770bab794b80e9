-- Set how much a budget has, or have it begin anew.
-- Caller: store/budgets/record.py set_budget, for engine/budgets/.
-- Names: given: now, or ''; verb: 'set' or 'reset'; usd, tokens: that it has from now on, '' for what
-- the code says, '-' to leave it; by: whom; note; request: of this call; sheet_ttl, ttl: how long its
-- sheet and its record are kept.
-- A reset forgets what was spent in this window; calls under way stay reserved. Both have all come back
-- that wait. Gives 1, also to a second arrival, 0 when there is no such budget, which can be set.
--@ include clock waiting/waiters budgets/calls
--@ keys record sheet open budgets waiting due
--@ args given ns account verb usd tokens by note request sheet_ttl ttl rq_time pending channels
local now, row = clock(given), soft('HMGET', record_key, 'request', 'window')
if row and row[1] == request then return 1 end
if not (row and row[2]) and verb ~= 'set' then return 0 end
put(record_key, 'by', by, 'note', note, 'request', request, 'window', row and row[2] or '')
if verb == 'set' then
  for _, pair in ipairs({{'set_usd', usd}, {'set_tokens', tokens}}) do
    if pair[2] == '' then redis.call('HDEL', record_key, pair[1])
    elseif pair[2] ~= '-' then put(record_key, pair[1], pair[2]) end
  end
else
  lose_dead(ns, sheet_key, open_key)
  local kept = soft('HMGET', sheet_key, 'reserved_usd', 'reserved_tokens') or {}
  redis.call('DEL', sheet_key)
  put(sheet_key, 'reserved_usd', kept[1] or '0', 'reserved_tokens', kept[2] or '0')
end
touch(sheet_key, sheet_ttl, record_key, budgets_key, account, now, ttl)
wake_waiters(waiting_key, 100, {
  ns = ns, due = due_key, now = stamp_of(now), rq_time = rq_time, state = pending,
  channels = channels, waits_for = 'budget ' .. account,
})
return 1
