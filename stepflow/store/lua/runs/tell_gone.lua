-- Tell a parent that a child of its list has ended, for its record is gone: exactly as the child's end would have told it.
-- Caller: store/children.py tell_gone, for engine/children.py. Safe to repeat: a child is told of once.
-- KEYS  1 record of the child  then what lib/family tells a parent
-- ARGV  1 run id of the child  2 now  3 rq time  4 namespace  then what lib/family tells
-- Gives 1 told, 0 when the child is there, or stands on the list no more.
--@ include total
--@ include fields
--@ include job
--@ include enqueue
--@ include hook
--@ include publish
--@ include wake
--@ include map
--@ include family
if redis.call('EXISTS', KEYS[1]) == 1 or soft('SISMEMBER', KEYS[3], ARGV[1]) ~= 1 then return 0 end
tell_family(2, 5, KEYS[1], ARGV[1], '0', {now = ARGV[2], rq_time = ARGV[3], ns = ARGV[4]})
return 1
