-- Keep a claim at least so long; never shortens it.
-- Caller: store/claims.py extend_claim.
-- Names: given: now, or ''; seconds: from now.
-- Gives 1 kept, 0 refused: the claim is not the caller's any more.
--@ include clock
--@ keys claims record
--@ args given token member seconds
if redis.call('HGET', record_key, 'token') ~= token then return 0 end
redis.call('ZADD', claims_key, 'XX', 'GT', stamp_of(clock(given) + tonumber(seconds)), member)
return 1
