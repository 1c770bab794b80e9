-- Pause a run whose record cannot be read, and take it out of everything that would lead somebody
-- to it again. Where its key holds no hash there is nothing to write to: then it is only taken out.
-- Caller: store/maintenance.py set_aside, for engine/gate.py. Safe to repeat.
-- Names: damaged: the field that cannot be read, '' for the whole key; found: what it held.
-- Gives 1 set aside, 0 when somebody has repaired that field meanwhile: nothing is written then.
--@ include lists
--@ lazily limits/admit: give_back
--@ keys run data claims due deadlines job wip scheduled queued*
--@ args member run_id damaged found wip_member rq_id reason fields* limited*
local row = soft('HMGET', run_key, damaged, 'rev')
local is_there = redis.call('EXISTS', run_key) == 1
if row and is_there and (damaged == '' or (row[1] or '') ~= found) then return 0 end
if row and is_there then
  set_fields(run_key, fields)
  local rev = whole(row[2])
  if rev then redis.call('HSET', run_key, 'rev', rev + 1) end
  put(data_key, 'reason', reason)
end
redis.call('ZREM', claims_key, member)
redis.call('ZREM', due_key, member)
redis.call('ZREM', deadlines_key, run_id)
redis.call('DEL', job_key)
for _, queued in ipairs(queued_keys) do soft('ZREM', queued, member) end
soft('ZREM', wip_key, wip_member)
soft('ZREM', scheduled_key, rq_id)
give_back(items(limited))
return 1
