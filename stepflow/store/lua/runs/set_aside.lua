-- Pause a run whose record cannot be read, and take it out of everything that would lead somebody to it again.
-- Where its key holds no hash there is nothing to write to: then it is only taken out.
-- Caller: store/damage.py set_aside, for engine/gate.py. Safe to repeat.
-- KEYS  1 run  2 data  3 claims  4 due  5 deadlines  6 job  7 queued_at  8 wip  9 scheduled
-- ARGV  1 member  2 run id  3 field that cannot be read, '' for the whole key  4 what it held  5 wip member  6 rq id
--       7 reason  8 run fields ...
-- Gives 1 set aside, 0 when somebody has repaired that field meanwhile: nothing is written then.
--@ include total
--@ include fields
local row = soft('HMGET', KEYS[1], ARGV[3], 'rev')
local is_there = redis.call('EXISTS', KEYS[1]) == 1
if row and is_there and (ARGV[3] == '' or (row[1] or '') ~= ARGV[4]) then return 0 end
if row and is_there then
  set_fields(KEYS[1], 8)
  local rev = whole(row[2])
  if rev then redis.call('HSET', KEYS[1], 'rev', rev + 1) end
  put(KEYS[2], 'reason', ARGV[7])
end
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[2])
redis.call('DEL', KEYS[6])
soft('ZREM', KEYS[7], ARGV[1])
soft('ZREM', KEYS[8], ARGV[5])
soft('ZREM', KEYS[9], ARGV[6])
return 1
