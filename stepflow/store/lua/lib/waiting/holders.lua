-- What a step has in hand on behalf of its run belongs to the claim of that, which a worker renews as
-- long as it lives. A holder is written `<member>|<token of the claim>`.
--@ include total
--@ include ids
--@ include keys

-- Whether the claim of a holder still stands.
local function is_held(ns, claims, holder, now)
  local member, token = string.match(holder or '', '^([^|]+)|(.+)$')
  if not member or not is_member(member) then return false end
  if soft('HGET', record_of(ns, member), 'token') ~= token then return false end
  return (tonumber(redis.call('ZSCORE', claims, member) or 0) or 0) > now
end
