-- See whether a waiting list holds anything, and forget it when it does not: in one, so that no
-- crash forgets a full one.
-- Caller: store/claims.py prune_waiting_list, for worker/maintenance.py.
-- Names: list: the waiting list; entry: its name in the set of waiting lists.
-- Gives the length of the list.
--@ include total
--@ keys waiting_lists list
--@ args entry
local length = soft('LLEN', list_key) or 0
if length == 0 then redis.call('SREM', waiting_lists_key, entry) end
return length
