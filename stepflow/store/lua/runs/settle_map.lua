-- Settle a map whose time is up, under the claim of its parent. One that is settled already, by its
-- last child or by a first arrival of this call, stays as it is.
-- Caller: store/children.py settle_map, for the flow kit.
-- Gives its answer, `succeeded|failed`, or false: the claim is not the caller's any more.
--@ include map
--@ keys parent answers maps
--@ args token group
if redis.call('HGET', parent_key, 'token') ~= token then return false end
local stood = soft('HGET', answers_key, group)
if stood then return stood end
local row = redis.call('HMGET', maps_key, group .. '.ok', group .. '.bad')
local ok, bad = whole(row[1]) or 0, whole(row[2]) or 0
settle(maps_key, answers_key, group, ok, bad)
return ok .. '|' .. bad
