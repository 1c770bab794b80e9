-- Lists of arguments. A list is the place in ARGV where its length stands, its items behind it: so
-- one that is only handed on to Redis costs no table.
--@ include total

-- The items of a list, as many values; at most some thousands.
local function items(list) return unpack(ARGV, list + 1, list + ARGV[list]) end

-- The items of a list, however long, as a table.
local function table_of(list)
  local part = {}
  for i = 1, tonumber(ARGV[list]) do part[i] = ARGV[list + i] end
  return part
end

-- So many values from a place on, and the place behind a list.
local function values_at(place, count) return unpack(ARGV, place, place + count - 1) end
local function behind(list) return list + ARGV[list] + 1 end

local function is_empty(list) return ARGV[list] == '0' end

-- Count up the fields of a hash that a list names.
local function count_fields(key, list)
  for _, field in ipairs(table_of(list)) do count_up(key, field) end
end

-- Write a list of name, value, name, value ... as fields of a hash.
local function set_fields(key, list)
  if ARGV[list] ~= '0' then put(key, items(list)) end
end

-- The same with what stands behind the first so many items.
local function set_fields_after(key, list, count)
  local more = ARGV[list] - count
  if more > 0 then put(key, values_at(list + count + 1, more)) end
end

-- Delete the fields of a hash that a list names.
local function delete_fields(key, list)
  if ARGV[list] ~= '0' then soft('HDEL', key, items(list)) end
end
