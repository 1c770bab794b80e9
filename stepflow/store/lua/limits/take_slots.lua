-- Let a step begin with a slot of each of its limits, or have it wait in line: it keeps its place there
-- whoever asks again, until it begins, is given up, or its run ends.
-- Caller: store/limits/steps.py take_slots, for worker/runtime/limits.py.
-- Names: given: now, or ''; prefix: of RQ ids; step, name: of the step; uses: its limits; number: of
-- this ask among those of the claim; first: since when one waits that goes before all others, or '';
-- takes_place: '1' for the first of its claim that wants these limits; said: name of each limit and what the code says of it; grace_s, gap_s: how long those wait, at
-- most, that nobody wakes, and how far apart.
-- Gives {1} begun, also to a second arrival; {0, when to ask again, what was put into the run's inbox
-- so far, limit|key}; {2} when the claim is another worker's now; {3} when that ask is over, and its
-- caller asks anew; {4, limit|key, seconds} for one that has waited for longer than its limit allows.
--@ include limits/settle lists clock
--@ keys run asks limits
--@ args given ns prefix run_id token step name uses number first takes_place grace_s gap_s said*
local row = soft('HMGET', run_key, 'token', 'inbox')
if not row or row[1] ~= token then return {2} end
local at = limits_at(ns, prefix, clock(given))
local ask = ask_of(at, run_id, step)
if ask and ask.token == token then return {1} end
if is_past(soft('HGET', asks_key, '') or '', token, number) then return {3} end
local again = ask and ask.asked == token .. '|' .. number
if ask and not again and is_past(ask.asked, token, number) then return {3} end
local declared = table_of(said)
for i = 1, #declared, 2 do
  if soft('HGET', limits_key, declared[i]) ~= declared[i + 1] then
    put(limits_key, declared[i], declared[i + 1])
  end
end
local id, begins, limit, from, longest = run_id .. '/' .. step
if again and stands_in(at, ask) then
  limit = limit_of(at, string.match(ask.held, '^([^|]*)|([^|]*)|'))
else
  local held = ask and ask.token == '' and ask.held or ''
  if held == '' and takes_place == '1' then held = take_place(at, run_id, step, uses) end
  if held == '' and first ~= '' then held = string.match(uses, '^([^|]*|[^|]*)|') .. '|' .. first end
  write_ask({record = run_key, step = step, token = '', held = held, name = name,
    asked = token .. '|' .. number, limits = uses})
  redis.call('HSET', run_key, 'asks', '1')
  begins, limit, from = admit(at, id, token)
  if begins then return {1} end
end

for _, text in ipairs(soft('HMGET', limits_key, limit.name, limit.name .. '=',
  limit.name .. '[' .. limit.key .. ']=') or {}) do
  local wait = string.match(text or '', '^[^|]*|[^|]*|[^|]*|[^|]*|[^|]*|([^|]+)')
  if wait then longest = tonumber(wait) end
end
local since = since_of(ask_of(at, run_id, step).held, at.now)
if longest and since + longest <= at.now then
  leave_step(at, run_id, token, step, number, '')
  return {4, limit.member, tostring(longest)}
end
local place = soft('ZRANK', limit.line, id) or 0
local ask_at = place == 0 and from or at.now + grace_s + place * gap_s
if longest then ask_at = math.min(ask_at, since + longest) end
return {0, stamp_of(ask_at), row[2] or '0', limit.member}
