-- Begin a bulk, or take a stopped one up again: its record, and the delivery by which a worker comes
-- to carry it on, in one write.
-- Caller: store/steering/bulk.py start_bulk, for engine/steering/bulk.py.
-- Names: expected: the rev of the record that is there, '' for none; most: bulks that are listed; list,
-- queued_at, wake, queue: the hook queue; hook, hooks: as lib/hook has them.
-- Gives 1 begun, also to a second arrival, 0 when the record is not as the caller saw it.
--@ include hook
--@ keys bulk runs bulks list queued_at wake live_hooks rq_queues hook*
--@ args bulk_id created expected request most now rq_time ns queue fields* hooks*
local row = redis.call('HMGET', bulk_key, 'rev', 'request')
if row[2] == request then return 1 end
if (row[1] or '') ~= expected then return 0 end
set_fields(bulk_key, fields)
redis.call('HSET', bulk_key, 'request', request)
redis.call('PERSIST', bulk_key)
redis.call('PERSIST', runs_key)
redis.call('ZADD', bulks_key, created, bulk_id)
redis.call('ZREMRANGEBYRANK', bulks_key, 0, -1 - most)
leave_hooks({
  list = list_key, queued_at = queued_at_key, wake = wake_key, queue = queue,
  live = live_hooks_key, rq_queues = rq_queues_key, now = now, rq_time = rq_time, ns = ns,
}, hook_keys, table_of(hooks))
return 1
