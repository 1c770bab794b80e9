-- Take ends of runs that wait to be archived. Until *lease* nobody else gets them; whoever archives
-- them takes them away then, and what is left by one that died comes again.
-- Caller: store/runs/to_archive.py take_ends, for worker/archiving/carry.py. Safe to repeat: what a lost reply
-- has taken comes again after its time.
-- Names: ends: scored by the end of the run, or until when somebody has it.
-- Gives the notes, the oldest first.
--@ keys ends
--@ args now lease limit
local found = redis.call('ZRANGE', ends_key, '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
for _, note in ipairs(found) do redis.call('ZADD', ends_key, lease, note) end
return found
