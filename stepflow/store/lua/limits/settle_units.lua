-- Have what the step of a run has really used of rates stand for what was charged when it began. One
-- that went on, with no begin, was charged nothing, and neither was one that has settled before.
-- Caller: store/limits/lines.py settle_units, for worker/limits/settling.py. Safe to repeat.
-- Names: given: now, or ''; number: of this settlement among those of the claim; settled: limit and
-- units of each.
-- Gives 1, also to a second arrival, or 0 when the claim is another worker's now.
--@ include limits/admit lists clock
--@ keys run
--@ args given ns prefix rq_time token number settled*
local row = soft('HMGET', run_key, 'token', 'limits', 'charged', 'settled')
if not row or row[1] ~= token then return 0 end
-- of the claim: the number of its last settlement, and the limits that it has settled
local who, last, names = string.match(row[4] or '', '^([^|]*)|(%d+)|(.*)$')
if who ~= token then last, names = '0', ',' end
if tonumber(last) >= tonumber(number) then return 1 end
local at, units_of = limits_at(ns, prefix, clock(given), rq_time), {}
local said = table_of(settled)
for i = 1, #said, 2 do units_of[said[i]] = tonumber(said[i + 1]) end
for _, use in ipairs(limits_in(at, row[2] or '')) do
  local name, units = use.limit.name, units_of[use.limit.name]
  if units then
    local is_new = not string.find(names, ',' .. name .. ',', 1, true)
    if row[3] ~= token or not is_new then use.units = 0 end
    if is_new then names = names .. name .. ',' end
    settle(at, use, units)
    call_heads(at, use.limit)
  end
end
redis.call('HSET', run_key, 'settled', token .. '|' .. number .. '|' .. names)
return 1
