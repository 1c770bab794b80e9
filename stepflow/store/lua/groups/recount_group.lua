-- Write the counts of a group anew that do not agree with its members.
-- Caller: store/groups/moves.py recount_group, for engine/doctor/groups.py.
-- Names: words: what is counted; expected: what the caller read of each; counts: what it is.
-- Gives 1 written, 0 when one of them has moved.
--@ include lists
--@ include groups/count
--@ keys group group_live due wake
--@ args now ns words* expected* counts*
local names, seen, counted = table_of(words), table_of(expected), table_of(counts)
for i, word in ipairs(names) do
  if (soft('HGET', group_key, 'n.' .. word) or '0') ~= seen[i] then return 0 end
end
for i, word in ipairs(names) do redis.call('HSET', group_key, 'n.' .. word, counted[i]) end
look_if_settled(group_key, group_live_key, {due = due_key, wake = wake_key, now = now, ns = ns})
return 1
