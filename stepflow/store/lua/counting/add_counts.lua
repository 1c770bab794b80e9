-- Add what a worker has counted since its last round to the minute, the hour and the totals, with
-- what scripts have counted meanwhile: those of submits, and of ends without a worker.
-- Caller: store/counting/counts.py add_counts, for worker/counting/report.py.
-- Names: tray: what scripts have counted; runners: those that are counted under their own name;
-- sender, number: by which a second arrival is recognized; most_runners: that have a name of their
-- own, all others are `other`; most_failing: fields of errors in a minute; counts: field, number ...
-- Gives 1, or 0 for a second arrival.
--@ include lists
--@ keys tray totals runners minute hour
--@ args sender number most_runners other most_failing minute_ttl_s hour_ttl_s counts*
local mark = 'sent|' .. sender
if soft('HGET', minute_key, mark) == number then return 0 end
put(minute_key, mark, number)

-- Whether a kind of count belongs to a runner, and where it is kept besides the hour.
local KINDS = {
  submitted = {by_runner = true, minute = true, totals = true},
  ended = {by_runner = true, minute = true, totals = true},
  failing = {by_runner = true, minute = true, is_bounded = true},
  steps = {by_runner = true, minute = true, totals = true},
  took = {by_runner = true, totals = true},
  took_us = {by_runner = true, totals = true},
}
local OTHER_KIND = {totals = true}
local named = {}

local function name_of(runner)
  if named[runner] == nil then
    local is_known = soft('SISMEMBER', runners_key, runner) == 1
    local has_room = (soft('SCARD', runners_key) or 0) < tonumber(most_runners)
    named[runner] = (is_known or has_room and soft('SADD', runners_key, runner)) and runner or other
  end
  return named[runner]
end

local function add(key, field, count)
  local sum = redis.pcall('HINCRBY', key, field, count)
  if type(sum) ~= 'number' then put(key, field, count) end -- what stood there was no count
end

local function take_in(field, count)
  local kind, of, label = string.match(field, '^([^|]+)|?([^|]*)(.*)$')
  local rule = KINDS[kind] or OTHER_KIND
  if rule.by_runner then field = kind .. '|' .. name_of(of) .. label end
  if rule.is_bounded and (soft('HLEN', minute_key) or 0) >= tonumber(most_failing) then
    field = kind .. '|' .. other .. '|' .. other
  end
  add(hour_key, field, count)
  if rule.minute then add(minute_key, field, count) end
  if rule.totals then add(totals_key, field, count) end
end

local tray = soft('HGETALL', tray_key) or {}
if tray[1] then redis.call('DEL', tray_key) end
for i = 1, #tray, 2 do
  if whole(tray[i + 1]) then take_in(tray[i], tray[i + 1]) end
end
local counts_of = table_of(counts)
for i = 1, #counts_of, 2 do take_in(counts_of[i], counts_of[i + 1]) end
redis.call('EXPIRE', minute_key, minute_ttl_s)
redis.call('EXPIRE', hour_key, hour_ttl_s)
return 1
