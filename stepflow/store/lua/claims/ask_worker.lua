-- Ask a worker what it is doing for a run: over its channel, and in a list where a thread of it finds
-- that while user code keeps its loop from reading the channel.
-- Caller: store/evidence/now.py ask_worker.
-- Names: message: as store/channel.py writes it; ttl_ms: how long somebody waits for the answer.
--@ include total
--@ include publish
--@ keys asked
--@ args channel message ttl_ms
if soft('RPUSH', asked_key, message) then redis.call('PEXPIRE', asked_key, ttl_ms) end
publish(channel, message)
return 1
