-- Lengthen claims one by one, those that are still this worker's; never shortens one.
-- Caller: store/claims.py renew_claims, from the renewing thread.
-- Names: given: now, or ''; record: of each claimed run or hook; data: of each, a hook's own record;
-- each of members, tokens, seconds (from now, 0 only asks) and doing (what is under way, '' where
-- that is not news) has an item for each record.
-- Gives {now, for each: 0 lost, the run's stop field when it was asked to stop, else 1 and what its
-- inbox ever held, negative when it was asked to pause}.
--@ include lists
--@ include clock
--@ keys claims record* data*
--@ args given members* tokens* seconds* doing*
local now = clock(given)
local answer, members = {stamp_of(now)}, table_of(members)
local tokens, seconds, doing = table_of(tokens), table_of(seconds), table_of(doing)
for i, record in ipairs(record_keys) do
  local row = soft('HMGET', record, 'token', 'stop', 'inbox', 'pause') or {}
  if row[1] == tokens[i] then
    if tonumber(seconds[i]) > 0 then
      redis.call('ZADD', claims_key, 'XX', 'GT', stamp_of(now + seconds[i]), members[i])
    end
    if doing[i] ~= '' then soft('HSET', data_keys[i], 'doing', doing[i]) end
    local seen = (row[4] or '') ~= '' and -1 or 1
    answer[i + 1] = (row[2] or '') ~= '' and row[2] or seen * (1 + (whole(row[3]) or 0))
  else
    answer[i + 1] = 0
  end
end
return answer
