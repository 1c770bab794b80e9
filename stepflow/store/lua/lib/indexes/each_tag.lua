-- The indexes of a run's tags. Few runs have tags.
--@ include total
--@ include keys

local function each_tag(tags) return string.gmatch(tags, '[^\n]+') end

-- Give the run's places in the indexes of its tags a score.
local function score_tags(ns, tags, score, run_id)
  for tag in each_tag(tags) do soft('ZADD', tag_index_of(ns, tag), score, run_id) end
end

local function drop_tags(ns, tags, run_id)
  for tag in each_tag(tags) do soft('ZREM', tag_index_of(ns, tag), run_id) end
end
