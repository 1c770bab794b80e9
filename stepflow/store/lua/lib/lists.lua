-- Write a list of name, value, name, value ... as fields of a hash.
--@ include total
local function set_fields(key, fields)
  if fields[1] then put(key, unpack(fields)) end
end
