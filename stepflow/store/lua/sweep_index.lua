-- Take a run whose record has expired out of the indexes; leaves one alone that was submitted anew meanwhile.
-- Caller: store/claims.py sweep_index, for engine/rounds.py.
-- KEYS  1 run  2 expiry  3 done index  4 runner index
-- ARGV  1 expiry member  2 run id  3 end state  4 now
-- Gives 1 swept, 0 not yet due.
local expires = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not expires or tonumber(expires) > tonumber(ARGV[4]) then return 0 end
local state = redis.call('HGET', KEYS[1], 'state')
redis.call('ZREM', KEYS[2], ARGV[1])
if state ~= ARGV[3] then redis.call('ZREM', KEYS[3], ARGV[2]) end
if not state then redis.call('ZREM', KEYS[4], ARGV[2]) end
return 1
