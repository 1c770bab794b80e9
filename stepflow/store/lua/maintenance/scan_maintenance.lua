-- What every worker does once a second, in one call: say it is alive, and see what needs doing.
-- Caller: store/claims.py scan_maintenance, for worker/maintenance.py.
-- KEYS  1 claims  2 due  3 deadlines  4 rq:suspended  5 waiting_lists  6 live workers  7 expiry  8 dead hooks
--       9 live  then for each source: list, queued_at, wake
-- ARGV  1 now or ''  2 worker  3 seconds a silent worker counts as live  4 job prefix  5 seconds a dead hook is kept
--       6 namespace  7 lease s
-- Gives {now, suspended, live workers, next due, lapsed claims, passed deadlines, waiting_lists lists, whether records have
--        expired, members whose entry left the queue, what named nothing and was taken out, live runs that an index had lost,
--        parent and child for each child whose record is gone, whether the worker was not known}; a list holds at most 50,
--        but for the last three.
--@ include clock
--@ include total
--@ include names
--@ include rebuild
local now = clock(ARGV[1])
local time = stamp_of(now)
local missing, strays = {}, {}
for _, index in ipairs({KEYS[1], KEYS[2], KEYS[3], KEYS[6]}) do
  if soft('ZCARD', index) == nil then -- something else stands there: the records bring back what the index is to hold
    redis.call('DEL', index)
    strays[#strays + 1] = index .. ' as a whole'
  end
end
local is_new = redis.call('ZADD', KEYS[6], time, ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', stamp_of(now - ARGV[3]))
redis.call('EXPIRE', KEYS[6], 60)
soft('ZREMRANGEBYSCORE', KEYS[8], '-inf', stamp_of(now - ARGV[5]))

-- Those of *members* that are what the index is to hold; what is not is taken out of it.
local function sound(index, members, is_sound, remove)
  local kept = {}
  for _, member in ipairs(members or {}) do
    if is_sound(member) then kept[#kept + 1] = member
    else
      redis.call(remove, index, member)
      strays[#strays + 1] = index .. ' ' .. member
    end
  end
  return kept
end

-- Whether the record of a member waits for the delivery that its mark in a queue tells of.
local function waits(member)
  local row = is_name(member) and soft('HMGET', ARGV[6] .. ':' .. member, 'delivery')
  return row and (row[1] or '') ~= ''
end

local function is_run(id) return string.find(id, '^[%w_-]+$') end
local function is_list(entry) return string.find(entry, '^[^|\128-\255]+|[^|\128-\255]+$') end
local function passed(index) return redis.call('ZRANGEBYSCORE', index, '-inf', time, 'LIMIT', 0, 50) end

for i = 10, #KEYS, 3 do
  local list, queued_at, wake = KEYS[i], KEYS[i + 1], KEYS[i + 2]
  local head = soft('LINDEX', list, 0)
  local before = now - 1
  if head then
    if redis.call('EXISTS', wake) == 0 then redis.call('RPUSH', wake, '1') end
    local ours = string.gsub(string.gsub(string.sub(head, #ARGV[4] + 1), '%-r%d+$', ''), '%-g%d+$', '')
    local kind, name = string.match(ours, '^(run)%-(.+)%-%d+$')
    if not kind then kind, name = string.match(ours, '^(hook)%-(.+)$') end
    local since = kind and soft('ZSCORE', queued_at, kind .. ':' .. name)
    before = since and math.min(before, tonumber(since)) or -1
  end
  local gone = soft('ZRANGEBYSCORE', queued_at, '-inf', '(' .. stamp_of(before), 'LIMIT', 0, 50)
  for _, member in ipairs(sound(queued_at, gone, waits, 'ZREM')) do missing[#missing + 1] = member end
end
local lapsed, overdue = sound(KEYS[1], passed(KEYS[1]), is_name, 'ZREM'), sound(KEYS[3], passed(KEYS[3]), is_run, 'ZREM')
local waiting_lists = sound(KEYS[5], soft('SRANDMEMBER', KEYS[5], 50), is_list, 'SREM')
local restored, orphans = rebuild(KEYS[9], page_of(KEYS[9], KEYS[6], ARGV[2], now), now, {
  claims = KEYS[1], due = KEYS[2], deadlines = KEYS[3], ns = ARGV[6], lease = tonumber(ARGV[7]),
}, strays)
return {
  time, redis.call('EXISTS', KEYS[4]), redis.call('ZCARD', KEYS[6]),
  redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or '',
  lapsed, overdue, waiting_lists, #(soft('ZRANGEBYSCORE', KEYS[7], '-inf', time, 'LIMIT', 0, 1) or {}), missing, strays, restored, orphans,
  is_new,
}
