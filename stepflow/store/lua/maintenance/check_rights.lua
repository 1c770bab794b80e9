-- Ask the server which commands the connected user may give. Servers before Redis 7 cannot say.
-- Caller: store/rights.py ask_rights.
-- Names: commands: for each the number of its parts, and the parts.
-- Gives for each command 1 allowed, 0 not; nothing when the server cannot say.
--@ include lists
--@ args commands*
local check = redis.acl_check_cmd
if not check then return {} end
local commands, answer, at = table_of(commands), {}, 1
while commands[at] do
  local last = at + tonumber(commands[at])
  local known, allowed = pcall(check, unpack(commands, at + 1, last))
  answer[#answer + 1] = (not known or allowed) and 1 or 0
  at = last + 1
end
return answer
