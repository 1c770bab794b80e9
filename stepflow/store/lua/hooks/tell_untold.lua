-- Write the hook deliveries of an end that was noted when nobody knew the hooks of its app, once.
-- Caller: store/hooks.py tell_untold, for worker/announce.py. Of many who announce one writes; a second arrival finds no note.
-- KEYS  1 notes of the runner  2 hook list  3 hook queued_at  4 hook wake  5 rq:queues  then for each hook: hook, job
-- ARGV  1 note  2 now  3 rq time  4 namespace  5 hook queue  then for each hook: rq id, member, fields ...
-- Gives 1 written, 0 it had been.
--@ include total
--@ include fields
--@ include job
--@ include enqueue
--@ include hook
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
local at, to = 6, {list = KEYS[2], queued_at = KEYS[3], wake = KEYS[4], queues = KEYS[5], now = ARGV[2], rq_time = ARGV[3],
  ns = ARGV[4], queue = ARGV[5]}
for i = 6, #KEYS, 2 do at = leave_hook(to, KEYS[i], KEYS[i + 1], at) end
return 1
