-- Lengthen claims one by one, those that are still this worker's; never shortens one.
-- Caller: store/claims.py renew_claims, from the renewing thread.
-- Names: given: now, or ''; record: of each claimed run or hook; each of members, tokens and
-- seconds (from now, 0 only asks) has an item for each record.
-- Gives {now, for each: 0 lost, the run's stop field when it was asked to stop, else 1 and what its
-- inbox ever held, negative when it was asked to pause}.
--@ include lists
--@ include clock
--@ keys claims record*
--@ args given members* tokens* seconds*
local now = clock(given)
local answer, members = {stamp_of(now)}, table_of(members)
local tokens, seconds = table_of(tokens), table_of(seconds)
for i, record in ipairs(record_keys) do
  local row = soft('HMGET', record, 'token', 'stop', 'inbox', 'pause') or {}
  if row[1] == tokens[i] then
    if tonumber(seconds[i]) > 0 then
      redis.call('ZADD', claims_key, 'XX', 'GT', stamp_of(now + seconds[i]), members[i])
    end
    local seen = (row[4] or '') ~= '' and -1 or 1
    answer[i + 1] = (row[2] or '') ~= '' and row[2] or seen * (1 + (whole(row[3]) or 0))
  else
    answer[i + 1] = 0
  end
end
return answer
