-- Look for the answer to a question and remember it in the journal, in one write. Without one the
-- question is put on the list, unless it stands there, or taken off it when its time is up.
-- Whichever came first decides: an answer, or the end of its time.
-- Caller: store/questions.py settle_question, for the flow kit.
-- Names: index, head: of the entry; digest, question: what is asked; lapsed: the outcome of a
-- question whose time is up, or ''; prompt: kept once it is settled, for those who look back.
-- The entry written is the head and '=' with the packed answer, or the head alone when the time is
-- up.
-- Gives {inbox count, data of the entry}, {inbox count} while it is open, or {} when the claim is
-- not the caller's any more.
--@ include total
--@ include question
--@ include entry
--@ keys run journal questions replies questions_index
--@ args token index head digest question prompt run_id now lapsed
local at = tonumber(index)
local row = redis.call('HMGET', run_key, 'token', 'inbox')
if row[1] ~= token then return {} end
local inbox, data = tonumber(row[2] or 0), nil
local before = remembered(journal_key, at, head)
if before == false then return {} end
if before then return {inbox, before} end
local answer = soft('HGET', replies_key, digest .. '=')
-- neither replies of ours, nor questions
if answer == nil then redis.call('DEL', replies_key) end
if soft('HLEN', questions_key) == nil then redis.call('DEL', questions_key) end
if answer then
  redis.call('HDEL', replies_key, digest .. '=')
  data = '=' .. answer
elseif lapsed ~= '' then
  shut_question(questions_key, replies_key, questions_index_key, digest, lapsed, run_id)
  data = ''
else
  if redis.call('HSETNX', questions_key, digest, question) == 1 then
    redis.call('HDEL', replies_key, digest)
  end
  redis.call('ZADD', questions_index_key, 'NX', now, run_id)
  return {inbox}
end
remember(run_key, journal_key, at, head .. data)
redis.call('HSET', replies_key, digest .. '?', prompt)
return {inbox, data}
