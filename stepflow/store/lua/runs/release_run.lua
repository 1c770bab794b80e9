-- Let an ended run go that was kept for the archive: from now on it lives as long as its settings
-- say, counted from its end, and keeps no more than they say. Not one that has been taken up again
-- since, or ended anew: that end is released after its own way into the archive.
-- Caller: store/runs/release.py release_run, for worker/hooks/archiving.py. Safe to repeat.
-- Names: generation, ends: those of the end that was archived; fence: the record of the step that
-- ended it; expires_at, expiry_member: as finish_run has them; kept: what its children left.
-- Gives 1 released, 0 when the run is not there, or not as that end left it.
--@ include lists
--@ include indexes/tags
--@ keys run data steps kv memo journal mail sent variables questions replies output questions_index
--@      expiry kept*
--@ args run_id generation ends fence ttl_s output_ttl_s keeps_all expires_at expiry_member
local row = soft('HMGET', run_key, 'generation', 'ends', 'ended') or {}
if (row[1] or '0') ~= generation or row[2] ~= ends or (row[3] or '') == '' then return 0 end
soft('ZADD', expiry_key, expires_at, expiring(expiry_member, tags_of(data_key)))
redis.call('HDEL', run_key, 'to_archive')
if keeps_all ~= '1' then redis.call('HSET', run_key, 'cleared', '1') end
--@ insert runs/expire
for _, key in ipairs(kept_keys) do redis.call('EXPIRE', key, ttl_s) end
return 1
