-- Read or change one variable and remember the answer in the journal, in one write: an incr counts
-- once.
-- Caller: store/variables.py touch_var, for the flow kit.
-- Names: variables: of the run or of a session; index, head: of the entry; verb: get, set, incr or
-- swap; ttl_s: or ''; operands: what to set or to add, or what to expect, what to swap in, and in
-- which other forms what is expected may stand. No value is ''.
-- The entry written is the head and the answer: what a get finds, the sum of an incr or '!' where
-- there is none, '1' or '0' of a swap.
-- Gives {answer}, also to a second arrival, or {} when the claim is not the caller's any more.
--@ include lists
--@ include entry
--@ keys run journal variables
--@ args token index head verb name ttl_s operands*
local at = tonumber(index)
if redis.call('HGET', run_key, 'token') ~= token then return {} end
local before = remembered(journal_key, at, head)
if before == false then return {} end
if before then return {before} end
local found, answer = soft('HGET', variables_key, name), ''
if found == nil then redis.call('DEL', variables_key) end -- no variables of ours
found = found or ''
local first, second = items(operands)
local function is_among(value, one, ...)
  return value == one or (select('#', ...) > 0 and is_among(value, ...))
end
local function store(value)
  if value == '' then redis.call('HDEL', variables_key, name)
  else redis.call('HSET', variables_key, name, value) end
end
if verb == 'get' then answer = found
elseif verb == 'set' then store(first)
elseif verb == 'incr' then
  local sum = redis.pcall('HINCRBY', variables_key, name, first)
  answer = type(sum) == 'number' and redis.call('HGET', variables_key, name) or '!'
elseif is_among(found, first, select(3, items(operands))) then
  store(second)
  answer = '1'
else answer = '0' end
if ttl_s ~= '' then redis.call('EXPIRE', variables_key, ttl_s) end
remember(run_key, journal_key, at, head .. answer)
return {answer}
