-- Included. Whether a member of an index names a run or a hook: no key is built from anything else.
local function is_name(member)
  local kind = string.match(member, '^(%a+):[%w_-]+$')
  return kind == 'run' or kind == 'hook'
end
