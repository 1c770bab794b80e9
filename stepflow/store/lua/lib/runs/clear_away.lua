-- A run that has ended makes room for the next of its id.
--@ include indexes/tags

-- Delete all of it, and take it out of the indexes. expired: what names it in the set of what
-- expires; replaced_keys: that set, the two indexes of its end, and what it kept.
local function clear_away(run, data, run_id, ns, expired, replaced_keys)
  --@ unpack replaced_keys: expiry old_ended old_of steps memo kv journal mail sent variables
  --@                       questions replies output
  local tags = tags_of(data)
  redis.call('DEL', run, data, steps, memo, kv, journal, mail, sent, variables, questions, replies,
    output)
  redis.call('ZREM', old_ended, run_id)
  redis.call('ZREM', old_of, run_id)
  redis.call('ZREM', expiry, expiring(expired, tags))
  if tags ~= '' then drop_tags(ns, tags, run_id) end
end
