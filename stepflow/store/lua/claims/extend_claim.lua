-- Keep a claim at least so long; never shortens it.
-- Caller: store/claims.py extend_claim.
-- KEYS  1 claims  2 run
-- ARGV  1 now or ''  2 token  3 member  4 seconds from now
-- Gives 1 kept, 0 refused: the claim is not the caller's any more.
--@ include clock
if redis.call('HGET', KEYS[2], 'token') ~= ARGV[2] then return 0 end
redis.call('ZADD', KEYS[1], 'XX', 'GT', stamp_of(clock(ARGV[1]) + tonumber(ARGV[4])), ARGV[3])
return 1
