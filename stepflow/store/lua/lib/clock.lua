-- Time in unix seconds: the server's, unless the caller brings one (a manual clock in tests).
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local t = redis.call('TIME')
  return tonumber(t[1]) + tonumber(t[2]) / 1000000
end

-- Write a time as fields and scores hold it: seconds with six decimals.
local function stamp_of(time) return string.format('%.6f', time) end
