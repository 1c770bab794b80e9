-- Take questions off the list that their workflow no longer wants answered.
-- Caller: store/questions.py close_questions, for the flow kit. Safe to repeat.
-- Names: digests: of the questions; outcome: what becomes of them.
-- Gives how many stood there; 0 when the claim is not the caller's.
--@ include question lists
--@ keys run questions replies questions_index
--@ args token outcome run_id digests*
if redis.call('HGET', run_key, 'token') ~= token then return 0 end
local closed = 0
for _, digest in ipairs(table_of(digests)) do
  if shut_question(questions_key, replies_key, questions_index_key, digest, outcome, run_id) then
    closed = closed + 1
  end
end
return closed
