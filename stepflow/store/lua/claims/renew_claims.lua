-- Lengthen claims one by one, those that are still this worker's; never shortens one.
-- Caller: store/claims.py renew_claims, from the renewing thread.
-- KEYS  1 claims  then the hash of each claimed run or hook
-- ARGV  1 now or ''  then for each: member, token, seconds from now
-- Gives {now, for each: 0 lost, the run's stop field when it was asked to stop, else 1 and what its inbox ever held}.
--@ include total
--@ include clock
local now = clock(ARGV[1])
local answer = {stamp_of(now)}
for i = 2, #KEYS do
  local member, token, seconds = ARGV[3 * i - 4], ARGV[3 * i - 3], ARGV[3 * i - 2]
  local row = soft('HMGET', KEYS[i], 'token', 'stop', 'inbox') or {}
  if row[1] == token then
    if tonumber(seconds) > 0 then redis.call('ZADD', KEYS[1], 'XX', 'GT', stamp_of(now + seconds), member) end
    answer[i] = (row[2] or '') ~= '' and row[2] or 1 + (whole(row[3]) or 0)
  else
    answer[i] = 0
  end
end
return answer
