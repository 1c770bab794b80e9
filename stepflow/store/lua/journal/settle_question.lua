-- Look for the answer to an ask and remember it in the journal, in one write; without one the ask is put on the list, unless
-- it stands there, or taken off it when its time is up. Whichever came first decides: an answer, or the end of its time.
-- Caller: store/questions.py settle_question, for the flow kit.
-- KEYS  1 run  2 journal  3 asks  4 replies  5 index of asks
-- ARGV  1 token  2 index of the entry  3 head of the entry  4 digest  5 what is asked  6 run id  7 now
--       8 mark of an ask whose time is up, or ''
-- The entry written is the head and '=' with the packed answer, or the head alone when the time is up.
-- Gives {inbox count, data of the entry}, {inbox count} while it is open, or {} when the claim is not the caller's any more.
--@ include total
--@ include question
--@ include entry
local digest, index = ARGV[4], tonumber(ARGV[2])
local row = redis.call('HMGET', KEYS[1], 'token', 'inbox')
if row[1] ~= ARGV[1] then return {} end
local inbox, data = tonumber(row[2] or 0), nil
local before = remembered(KEYS[2], index, ARGV[3])
if before == false then return {} end
if before then return {inbox, before} end
local answer = soft('HGET', KEYS[4], digest .. '=')
if answer == nil then redis.call('DEL', KEYS[4]) end -- neither replies of ours, nor asks
if soft('HLEN', KEYS[3]) == nil then redis.call('DEL', KEYS[3]) end
if answer then
  redis.call('HDEL', KEYS[4], digest .. '=')
  data = '=' .. answer
elseif ARGV[8] ~= '' then
  shut_question(KEYS[3], KEYS[4], KEYS[5], digest, ARGV[8], ARGV[6])
  data = ''
else
  if redis.call('HSETNX', KEYS[3], digest, ARGV[5]) == 1 then redis.call('HDEL', KEYS[4], digest) end
  redis.call('ZADD', KEYS[5], 'NX', ARGV[7], ARGV[6])
  return {inbox}
end
remember(KEYS[1], KEYS[2], index, ARGV[3] .. data)
return {inbox, data}
