-- Take a question off the list that its workflow no longer wants answered.
-- Caller: store/questions.py close_question, for the flow kit.
-- Names: digest: of the question; outcome: what becomes of it.
-- Gives 1 closed, 0 it stood there no more, or the claim is not the caller's.
--@ include question
--@ keys run questions replies questions_index
--@ args token digest outcome run_id
if redis.call('HGET', run_key, 'token') ~= token then return 0 end
local was_open = shut_question(questions_key, replies_key, questions_index_key, digest, outcome,
  run_id)
return was_open and 1 or 0
