-- Take an ask off the list that its workflow wants answered no more.
-- Caller: store/questions.py close_question, for the flow kit.
-- KEYS  1 run  2 asks  3 replies  4 index of asks
-- ARGV  1 token  2 digest  3 mark  4 run id
-- Gives 1 closed, 0 it stood there no more, or the claim is not the caller's.
--@ include question
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
return shut_question(KEYS[2], KEYS[3], KEYS[4], ARGV[2], ARGV[3], ARGV[4]) and 1 or 0
