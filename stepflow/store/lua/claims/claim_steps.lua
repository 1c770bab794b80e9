-- Take deliveries out of queues and give this worker the exclusive, expiring right to settle each.
-- A popped id counts only when the record waits for it and it is due; others are dropped. One whose runner this worker
-- does not know goes to the waiting list of that runner; a job that is not ours to RQ's failed registry.
-- Caller: store/claims.py claim_steps. Never sent twice: after a lost reply the worker lists what stands under its name.
-- KEYS  1 claims  2 rq:suspended  3 waiting_lists  4 due, then for each source: list, queued_at, wip, wake
-- ARGV  1 now or ''  2 namespace  3 job prefix  4 token stem  5 first token number  6 lease s  7 limit  8 live workers
--       9 worker  10 rq time  11 running state  12 failure text  13 n runners, their names  then each source's rq queue
-- Gives {now, waiting, next due or '', {rq id, token, run hash, data hash} ...}; waiting is -1 while RQ is suspended. The
-- token is '' where nothing was taken, for the record cannot be read; a key that holds no hash is false.
--@ include total
--@ include clock
--@ include turn_away
local ns, prefix, stem, limit, worker = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[7]), ARGV[9]
local now = clock(ARGV[1])
if redis.call('EXISTS', KEYS[2]) == 1 then return {stamp_of(now), -1, ''} end
local known, at = {}, 14 + tonumber(ARGV[13])
for i = 14, at - 1 do known[ARGV[i]] = true end
local sources, waiting = {}, 0
for i = 5, #KEYS, 4 do
  local s = {list = KEYS[i], queued_at = KEYS[i + 1], wip = KEYS[i + 2], wake = KEYS[i + 3], queue = ARGV[at],
    left = 0, members = {}, leases = {}, started = {}}
  s.left = soft('LLEN', s.list) or 0
  waiting, at, sources[#sources + 1] = waiting + s.left, at + 1, s
end
local take = math.min(limit, math.ceil(waiting / math.max(1, tonumber(ARGV[8]))))
local lease, taken, popped, number = stamp_of(now + tonumber(ARGV[6])), {}, 0, tonumber(ARGV[5])
local budget, busy = 4 * limit + 64, {}

local function note(list, first, second) list[#list + 1], list[#list + 2] = first, second end

-- One whose record cannot be claimed is left as it is; the caller sets it aside.
local function cannot_read(id, run) taken[#taken + 1] = {id, '', soft('HGETALL', run) or false, false} end

local function try(id, s)
  local ours = string.sub(id, 1, #prefix) == prefix and string.sub(id, #prefix + 1) or ''
  ours = string.gsub(string.gsub(ours, '%-r%d+$', ''), '%-g%d+$', '')
  local kind, name = string.match(ours, '^(run)%-(.+)%-%d+$')
  if not kind then kind, name = string.match(ours, '^(hook)%-(.+)$') end
  if not kind then return refuse_foreign(id, s, now, ARGV[10], ARGV[12]) end
  local member, run = kind .. ':' .. name, ns .. ':' .. kind .. ':' .. name
  local row = soft('HMGET', run, 'delivery', 'due', 'runner', 'rev', 'started', 'unroutable')
  if not row then return cannot_read(id, run) end
  if row[1] ~= id or (tonumber(row[2]) or 0) > now then return end
  if not whole(row[4]) then return cannot_read(id, run) end
  if not known[row[3]] and not is_runner(row[3] or '') then return cannot_read(id, run) end
  if not known[row[3]] then return set_aside(id, s, member, run, row[3], KEYS[3], ns, now) end
  local token = stem .. number .. '.'
  number = number + 1
  redis.call('HSET', run, 'rev', row[4] + 1, 'token', token, 'claimed_id', id, 'delivery', '', 'state', ARGV[11],
    'started', row[5] or stamp_of(now))
  if row[6] then redis.call('HDEL', run, 'unroutable') end
  s.members[#s.members + 1] = member
  note(s.leases, lease, member)
  note(s.started, '+inf', id .. ':' .. token)
  put('rq:job:' .. id, 'status', 'started', 'started_at', ARGV[10], 'worker_name', worker)
  taken[#taken + 1] = {id, token, redis.call('HGETALL', run), soft('HGETALL', run .. ':data') or false}
end

for _, s in ipairs(sources) do
  while #taken < take and s.left > 0 and popped < budget do
    for _, id in ipairs(redis.call('LPOP', s.list, math.min(take - #taken, s.left)) or {}) do
      popped, s.left, waiting = popped + 1, s.left - 1, waiting - 1
      try(id, s)
    end
  end
  if s.members[1] then -- once for all of them
    redis.call('ZADD', KEYS[1], unpack(s.leases))
    soft('ZREM', s.queued_at, unpack(s.members))
    soft('ZADD', s.wip, unpack(s.started))
  end
  busy[s.wake] = busy[s.wake] or s.left > 0
end
for wake, jobs_left in pairs(busy) do
  if not jobs_left then redis.call('DEL', wake)
  elseif redis.call('EXISTS', wake) == 0 then redis.call('RPUSH', wake, '1') end
end
return {stamp_of(now), waiting, redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')[2] or '', unpack(taken)}
