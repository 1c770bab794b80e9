-- Put a hook delivery back into its queue: a lapsed claim, a lost knock, or a redelivery somebody asked for.
-- Caller: store/hooks.py requeue_hook.
-- KEYS  1 hook  2 claims  3 held job  4 wip  5 dead hooks  6 job  7 list  8 queued_at  9 wake  10 due  11 rq:queues
-- ARGV  1 rev  2 member  3 wip member  4 hook id  5 rq id  6 now  7 rq time  8 namespace  9 rq queue  10 lapsed or ''
--       11 hook fields ...
-- Gives 1 queued, 0 when the delivery is not as the caller saw it.
--@ include total
--@ include fields
--@ include job
--@ include enqueue
if redis.call('HGET', KEYS[1], 'rev') ~= ARGV[1] then return 0 end
local lease = ARGV[10] ~= '' and redis.call('ZSCORE', KEYS[2], ARGV[2])
if lease and tonumber(lease) > tonumber(ARGV[10]) then return 0 end
set_fields(KEYS[1], 11)
redis.call('PERSIST', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[2])
soft('ZREM', KEYS[4], ARGV[3])
redis.call('ZREM', KEYS[5], ARGV[4])
soft('ZREM', KEYS[8], ARGV[2])
redis.call('ZREM', KEYS[10], ARGV[2])
redis.call('DEL', KEYS[3])
write_job(KEYS[6], ARGV[5], ARGV[8], 'run_hook', ARGV[9], 'queued', ARGV[7])
enqueue(KEYS[7], KEYS[8], KEYS[9], ARGV[5], ARGV[2], ARGV[6])
redis.call('SADD', KEYS[11], KEYS[7])
return 1
