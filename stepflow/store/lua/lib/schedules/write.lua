-- A schedule's record, its place in the due set and its history.
--@ include total
--@ include lists
--@ include ids

-- The guard of what moves a schedule: nil when it and its last run are as the caller saw them, 1 for
-- a second arrival, 0 when they are not. live: '1' when the last run had not ended, '0' when it had
-- or there was none, '' to compare nothing.
local function schedule_refusal(schedule, rev, request, last, live)
  local row = soft('HMGET', schedule, 'rev', 'request') or {}
  if row[2] == request then return 1 end
  if (row[1] or '') ~= rev then return 0 end
  if live == '' then return nil end
  local run = soft('HMGET', last, 'rev', 'ended')
  local is_live = run and run[1] and (run[2] or '') == ''
  if (is_live and '1' or '0') ~= live then return 0 end
  return nil
end

-- Write its fields, when it is due ('' for not at all), and the newest lines of its history.
local function write_schedule(schedule, history, due_set, member, due, fields, lines)
  set_fields(schedule, fields)
  if due == '' then
    redis.call('ZREM', due_set, member)
  else
    redis.call('ZADD', due_set, due, member)
  end
  local written = table_of(lines)
  if written[1] then
    soft('LPUSH', history, unpack(written))
    soft('LTRIM', history, 0, 49)
  end
end
