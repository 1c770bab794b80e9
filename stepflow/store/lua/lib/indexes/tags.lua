-- The tags of a run stand in its data, `key=value` in a line each; its record only says that there
-- are any, so a run without tags costs nothing. How the set of what expires names them: that is
-- read when the data are gone.
--@ include total
--@ include keys

local function tags_of(data) return soft('HGET', data, 'tags') or '' end
local function each_tag(tags) return string.gmatch(tags, '[^\n]+') end

-- Give the run's places in the indexes of its tags a score.
local function score_tags(ns, tags, score, run_id)
  for tag in each_tag(tags) do soft('ZADD', tag_index_of(ns, tag), score, run_id) end
end

local function drop_tags(ns, tags, run_id)
  for tag in each_tag(tags) do soft('ZREM', tag_index_of(ns, tag), run_id) end
end

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
