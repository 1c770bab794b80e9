-- Settle a call in its budgets, and remember in the run's journal what it has come to.
-- Caller: store/budgets/spending.py settle_budget, for worker/runtime/budgets.py.
-- Names: given: now, or ''; index, entry, cleanup: as of add_entry; index is '' where nothing is to be
-- remembered; slot, attempt, token: of the call; usd, tokens: what it has cost, '' for unknown; least: 1
-- where it may have been more; accounts: of the budgets. Each has three keys.
-- Each call that is settled lets two come back that wait.
-- Gives 1, also to a second arrival, 0 refused: the claim is not the caller's any more, or another has
-- written there.
--@ include clock waiting/waiters budgets/calls lists
--@ keys run journal due sheet* open* waiting*
--@ args token index entry cleanup given ns slot attempt usd tokens least rq_time pending channels
--@      accounts*
local at = tonumber(index)
if at then
  if redis.call('HGET', run_key, 'token') ~= token then return 0 end
  local length = redis.call('LLEN', journal_key)
  if length > at then return redis.call('LINDEX', journal_key, at) == entry and 1 or 0 end
  if length < at then return 0 end
end
local mine, now, names = attempt .. '|' .. token .. '|', clock(given), table_of(accounts)
for i, sheet in ipairs(sheet_keys) do
  settle(sheet, open_keys[i], slot, mine, {usd = usd, tokens = tokens}, least)
  wake_waiters(waiting_keys[i], 2, {
    ns = ns, due = due_key, now = stamp_of(now), rq_time = rq_time, state = pending,
    channels = channels, waits_for = 'budget ' .. names[i],
  })
end
if at then
  redis.call('RPUSH', journal_key, entry)
  if at == 0 then redis.call('HSET', run_key, 'journal', '1') end
  if cleanup ~= '' then redis.call('HSET', run_key, 'cleanup', cleanup) end
  redis.call('HSET', run_key, 'crashes', '0')
end
return 1
