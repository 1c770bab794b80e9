-- Included, after lib/total. HSET key with the fields at ARGV[at]: their number of items, then name, value, name, value ...
-- Gives the position after them.
local function set_fields(key, at)
  local count = tonumber(ARGV[at])
  if count > 0 then put(key, unpack(ARGV, at + 1, at + count)) end
  return at + count + 1
end
