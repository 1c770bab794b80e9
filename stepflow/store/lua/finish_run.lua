-- End the run: its record gets its last fields and its time to live, whatever stood for it is taken away, its hooks are
-- written, waiters are told. One write, so a crash loses neither the end nor a hook.
-- Caller: store/runs.py finish_run, for engine/commit.py, cancel.py and recover.py.
-- KEYS  1 run  2 data  3 steps  4 kv  5 memo  6 claims  7 held job  8 wip  9 live  10 done index  11 expiry
--       12 deadlines  13 due  14 scheduled  15 pending  16 hook list  17 hook pending  18 hook wake  19 rq:queues
--       20 journal  21 mailbox  22 sent ids  23 variables  24 asks  25 replies  26 index of asks  then for each hook: hook,
--       job; then what _family tells
-- ARGV  1 rev  2 token or ''  3 step record that proves a second arrival, or request id  4 lapsed or ''  5 member
--       6 wip member  7 awaited rq id or ''  8 run id  9 created  10 ttl s  11 expires at  12 expiry member  13 channel
--       14 message  15 now  16 rq time  17 namespace  18 hook queue  19 hooks  20 effects deleted ...  then effects
--       written ...  run fields ...  data fields ...  step records ...  for each hook: rq id, member, fields ...
--       then what _family tells, where the run has a parent or children
-- Gives {1}, {2} for a second arrival, or {0, rev, token} when the run is not as the caller saw it.
--@ include _fields
--@ include _guard
--@ include _job
--@ include _knock
--@ include _hook
--@ include _publish
--@ include _wake
--@ include _family
local refused = refusal(KEYS[1], KEYS[3], KEYS[6], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
if refused then return refused end
local member, run_id = ARGV[5], ARGV[8]
local gone, kin = tonumber(ARGV[20]), 27 + 2 * tonumber(ARGV[19])
if gone > 0 then redis.call('HDEL', KEYS[4], unpack(ARGV, 21, 20 + gone)) end
local at = set_fields(KEYS[3], set_fields(KEYS[2], set_fields(KEYS[1], set_fields(KEYS[4], 21 + gone))))
redis.call('DEL', KEYS[7])
redis.call('ZREM', KEYS[6], member)
redis.call('ZREM', KEYS[8], ARGV[6])
if ARGV[7] ~= '' then
  redis.call('ZREM', KEYS[13], member)
  redis.call('ZREM', KEYS[14], ARGV[7])
  redis.call('ZREM', KEYS[15], member)
end
redis.call('ZREM', KEYS[12], run_id)
redis.call('ZREM', KEYS[9], run_id)
redis.call('ZADD', KEYS[10], ARGV[9], run_id)
redis.call('ZADD', KEYS[11], ARGV[11], ARGV[12])
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[10]) end
if redis.call('EXISTS', KEYS[4], KEYS[5], unpack(KEYS, 20, 25)) > 0 then -- most runs have none of these
  for i = 4, 5 do redis.call('EXPIRE', KEYS[i], ARGV[10]) end
  for i = 20, 25 do redis.call('EXPIRE', KEYS[i], ARGV[10]) end
  redis.call('ZREM', KEYS[26], run_id)
end
for i = 27, kin - 1, 2 do at = leave_hook(KEYS[i], KEYS[i + 1], at) end
if ARGV[at] then tell_family(kin, at, KEYS[1], run_id, ARGV[10], ARGV[15], ARGV[16], ARGV[17]) end
publish(ARGV[13], ARGV[14])
return {1}
