-- Journal entries whose data the script makes: they are recognised by their index and their head.

-- Give what entry *index* holds after *head*: nil when it is the next to be written, false when
-- another entry stands there.
local function remembered(journal, index, head)
  local length = redis.call('LLEN', journal)
  if length == index then return nil end
  local kept = length > index and redis.call('LINDEX', journal, index)
  if not kept or string.sub(kept, 1, #head) ~= head then return false end
  return string.sub(kept, #head + 1)
end

-- Write the next entry. That is progress, so the count of crashes starts again.
local function remember(run, journal, index, entry)
  redis.call('RPUSH', journal, entry)
  if index == 0 then redis.call('HSET', run, 'journal', '1') end
  local crashes = redis.call('HGET', run, 'crashes')
  if crashes and crashes ~= '0' then redis.call('HSET', run, 'crashes', '0') end
end
