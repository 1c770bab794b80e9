-- Read or change one variable and remember the answer in the journal, in one write: an incr counts once.
-- Caller: store/variables.py touch_var, for the flow kit.
-- KEYS  1 run  2 journal  3 variables, of the run or of a session
-- ARGV  1 token  2 index of the entry  3 head of the entry  4 get, set, incr or swap  5 variable  6 time to live s, or ''
--       7 what to set, to add or to expect  8 what to swap in.  No value is ''.
-- The entry written is the head and the answer: what a get finds, the sum of an incr or '!' where there is none, '1' or '0'
-- of a swap.
-- Gives {answer}, also to a second arrival, or {} when the claim is not the caller's any more.
--@ include total
--@ include entry
local index, what, name = tonumber(ARGV[2]), ARGV[4], ARGV[5]
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return {} end
local before = remembered(KEYS[2], index, ARGV[3])
if before == false then return {} end
if before then return {before} end
local held, answer = soft('HGET', KEYS[3], name), ''
if held == nil then redis.call('DEL', KEYS[3]) end -- no variables of ours
held = held or ''
local function store(value)
  if value == '' then redis.call('HDEL', KEYS[3], name) else redis.call('HSET', KEYS[3], name, value) end
end
if what == 'get' then answer = held
elseif what == 'set' then store(ARGV[7])
elseif what == 'incr' then
  local sum = redis.pcall('HINCRBY', KEYS[3], name, ARGV[7])
  answer = type(sum) == 'number' and redis.call('HGET', KEYS[3], name) or '!'
elseif held == ARGV[7] then
  store(ARGV[8])
  answer = '1'
else answer = '0' end
if ARGV[6] ~= '' then redis.call('EXPIRE', KEYS[3], ARGV[6]) end
remember(KEYS[1], KEYS[2], index, ARGV[3] .. answer)
return {answer}
