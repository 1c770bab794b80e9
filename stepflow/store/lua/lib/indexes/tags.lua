-- The tags of a run stand in its data, `key=value` in a line each; its record only says that there
-- are any, so a run without tags costs nothing. How the set of what expires names them: that is
-- read when the data are gone.
--@ include total
--@ lazily indexes/each_tag: score_tags
--@ lazily indexes/each_tag: drop_tags

local function tags_of(data) return soft('HGET', data, 'tags') or '' end

-- Move an ended run from the indexes of live runs to those of its end.
local function move_to_ended(live, live_of, ended, ended_of, now, run_id)
  soft('ZREM', live, run_id)
  soft('ZREM', live_of, run_id)
  soft('ZADD', ended, now, run_id)
  soft('ZADD', ended_of, now, run_id)
end

-- The member of the set of what expires: what the caller knows of it, and the tags.
local function expiring(member, tags)
  return tags == '' and member or member .. '|' .. tags
end
