-- Settle one try of a hook delivery: delivered, dead, or once more later.
-- Caller: store/hooks.py commit_hook, for worker/notify.py.
-- KEYS  1 hook  2 claims  3 held job  4 wip  5 dead hooks  6 due
-- ARGV  1 token  2 member  3 wip member  4 ttl s, or '' while it lives on  5 died at, or ''  6 hook id  7 due, or ''
--       8 hook fields ...
-- Gives 1 settled, 2 for a second arrival, 0 when the claim is not the caller's any more.
--@ include total
--@ include fields
local row = redis.call('HMGET', KEYS[1], 'token', 'last_token')
if row[1] ~= ARGV[1] then return row[2] == ARGV[1] and 2 or 0 end
set_fields(KEYS[1], 8)
redis.call('HSET', KEYS[1], 'token', '', 'last_token', ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[2])
soft('ZREM', KEYS[4], ARGV[3])
redis.call('DEL', KEYS[3])
if ARGV[4] ~= '' then redis.call('EXPIRE', KEYS[1], ARGV[4]) end
if ARGV[5] ~= '' then redis.call('ZADD', KEYS[5], ARGV[5], ARGV[6]) end
if ARGV[7] ~= '' then redis.call('ZADD', KEYS[6], ARGV[7], ARGV[2]) end
return 1
