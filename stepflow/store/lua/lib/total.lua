-- Keys and fields that anybody may have written over: what cannot be read stops no script.

-- A command on such a key: nil where the key is of another type.
local function soft(...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  local problem = tostring(reply.err)
  if string.find(problem, 'WRONGTYPE', 1, true) then return nil end
  error(problem, 0)
end

-- HSET; a key that is no hash holds nothing of ours and is replaced.
local function put(key, ...)
  if soft('HSET', key, ...) == nil then
    redis.call('DEL', key)
    redis.call('HSET', key, ...)
  end
end

-- A whole number as fields hold it, nil for anything else.
local function whole(text)
  return text and #text < 16 and string.find(text, '^%d+$') and tonumber(text) or nil
end

-- A time as fields hold it, nil for anything else: no index takes "nan" as a score, not each server
-- takes a hexadecimal one.
local function moment(text)
  return text and string.find(text, '^%d[%d.]*$') and tonumber(text) or nil
end

-- HINCRBY; gives the sum, nil for a field that cannot be counted up.
local function count_up(key, field)
  local sum = redis.pcall('HINCRBY', key, field, 1)
  return type(sum) == 'number' and sum or nil
end

-- Whether each of two keys is there that few have, and whether one of the others is: with one command
-- for those who have none.
local function exist(one, another, others)
  if redis.call('EXISTS', one, another, unpack(others)) == 0 then return false, false, 0 end
  return redis.call('EXISTS', one) == 1, redis.call('EXISTS', another) == 1,
    redis.call('EXISTS', unpack(others))
end
