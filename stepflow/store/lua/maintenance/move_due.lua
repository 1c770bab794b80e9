-- Move what has come due from the due set into its queue; the record says which delivery waits and where.
-- Caller: store/claims.py move_due, for worker/maintenance.py. Safe to run by many at once, and twice.
-- KEYS  1 due
-- ARGV  1 now or ''  2 namespace  3 limit  4 rq time  5 pending state
-- Gives {now, moved, score of the next one due or '', members that name nothing and were taken out, members whose record
-- does not say when or where, which the caller sets aside}.
--@ include clock
--@ include total
--@ include names
--@ include job
--@ include enqueue
local ns, now = ARGV[2], clock(ARGV[1])
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', stamp_of(now), 'LIMIT', 0, ARGV[3])
local strays, damaged = {}, {}

-- When the record says it is due, 0 for at once; nil for what is no time.
local function due_at(text)
  if (text or '') == '' then return 0 end
  local due = tonumber(text)
  return due and due < 1e12 and due or nil
end

local function move(member, row)
  local record, id, queue, due = ns .. ':' .. member, row[1] or '', row[3] or '', due_at(row[2])
  if id ~= '' and not (due and string.find(queue, '^[%w_.-]+$')) then damaged[#damaged + 1] = member return end
  redis.call('ZREM', KEYS[1], member)
  if id ~= '' and due <= now then
    local entry = string.sub(member, 1, 5) == 'hook:' and 'run_hook' or 'run_step'
    local base = string.gsub(string.gsub(queue, '%.high$', ''), '%.low$', '')
    soft('ZREM', 'rq:scheduled:' .. queue, id)
    write_job('rq:job:' .. id, id, ns, entry, queue, 'queued', ARGV[4])
    if row[4] ~= ARGV[5] then
      local rev = whole(row[5]) -- of a damaged one it is left as it is: the claim sees that
      redis.call('HSET', record, 'state', ARGV[5], 'rev', rev and rev + 1 or row[5] or '', 'parked', '')
    end
    enqueue('rq:queue:' .. queue, ns .. ':queued_at:' .. queue, ns .. ':wake:' .. base, id, member, stamp_of(now))
  elseif id ~= '' then
    redis.call('ZADD', KEYS[1], row[2], member)
  end
end

for _, member in ipairs(members) do
  local row = is_name(member) and soft('HMGET', ns .. ':' .. member, 'delivery', 'due', 'queue', 'state', 'rev')
  if row then
    move(member, row)
  else
    redis.call('ZREM', KEYS[1], member)
    strays[#strays + 1] = member
  end
end
local head = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {stamp_of(now), #members - #damaged, head[2] or '', strays, damaged}
