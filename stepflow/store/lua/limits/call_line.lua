-- Give the first in the line of a limit and key their turn, as many as there is room for: what its
-- timer, a change of the limit, and a round of maintenance ask for. Runs that were called and not
-- claimed keep their room for a second; then the next are called as well.
-- Caller: store/limits/lines.py call_line, for engine/limits/lines.py. Safe to repeat.
-- Names: given: now, or ''; prefix: of RQ ids; limit, key.
-- Gives {now, length of the line, next due or ''}.
--@ include limits/admit
--@ include clock
--@ keys due
--@ args given ns prefix rq_time limit key
local now = clock(given)
local at = limits_at(ns, prefix, now, rq_time)
local one = limit_of(at, limit, key)
redis.call('ZREM', due_key, limit_member(one.member))
call_heads(at, one)
return {
  stamp_of(now), soft('ZCARD', one.line) or 0,
  redis.call('ZRANGE', due_key, 0, 0, 'WITHSCORES')[2] or '',
}
