-- The guard of a deciding script: nil when the run is as the caller saw it, else the answer to
-- give.
--
-- A worker brings its claim token, an outsider '' and a request id. A second arrival of the same
-- command, sent again because its reply was lost, recognises itself: a worker's by its token in the
-- step record *fence* (or where a retry has put that), an outsider's by its request id *fence*. *lapsed* is a time by which the
-- run's lease must have run out, or ''.
--@ include total
local function refusal(run, steps, claims, rev, token, fence, lapsed, member)
  local row = soft('HMGET', run, 'rev', 'token') or {}
  row[1] = row[1] or ''
  local same = row[1] == rev and (token == '' or row[2] == token)
  if same and lapsed ~= '' then
    local lease = redis.call('ZSCORE', claims, member)
    same = not lease or tonumber(lease) <= tonumber(lapsed)
  end
  if same then return nil end
  if token ~= '' then
    for _, written in ipairs(soft('HMGET', steps, fence, fence .. '.' .. token) or {}) do
      if written and string.sub(written, 1, #token) == token then return {2} end
    end
  elseif soft('HGET', run, 'request') == fence then
    return {2}
  end
  return {0, row[1], row[2] or ''}
end
