-- See whether a waiting list holds anything, and forget it when it does not: in one, so that no crash forgets a full one.
-- Caller: store/claims.py prune_waiting_list, for worker/maintenance.py.
-- KEYS  1 waiting_lists  2 waiting list
-- ARGV  1 entry
-- Gives the length of the list.
--@ include total
local length = soft('LLEN', KEYS[2]) or 0
if length == 0 then redis.call('SREM', KEYS[1], ARGV[1]) end
return length
