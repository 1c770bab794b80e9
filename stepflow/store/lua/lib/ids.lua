-- What may be a name, and what an RQ id and a member name say. core/ids.py has the same grammar,
-- and tests/store/test_scripts.py holds both together. No key is built from text that is no name.
local function is_run_id(text) return string.find(text, '^[%w_-]+$') end
local function is_queue(text) return string.find(text, '^[%w_.-]+$') end
local function is_runner(text)
  return string.find(text, '^[%w_.:-]+$') or string.find(text, '^[%w_.:-]+@%d+$')
end

local function run_member(run_id) return 'run:' .. run_id end
local function run_id_of(member) return string.sub(member, 5) end
local function is_hook_member(member) return string.sub(member, 1, 5) == 'hook:' end

local function is_schedule_member(member)
  return string.find(member, '^sched:[%w_-]+$') ~= nil
end

local function is_group_member(member)
  return string.find(member, '^group:[%w_-]+$') ~= nil
end

local function limit_member(limited) return 'limit:' .. limited end
-- Give limit and key of a member; nil for any other.
local function limit_of_member(member)
  return string.match(member, '^limit:([%w_.-]+)|([%w_.:@%%-]*)$')
end

-- Whether a member of an index names a run or a hook.
local function is_member(member)
  local kind = string.match(member, '^(%a+):[%w_-]+$')
  return kind == 'run' or kind == 'hook'
end

-- Give the member name of the record that an RQ id delivers; nil when the id is not one of ours.
local function member_of_rq_id(id, prefix)
  if string.sub(id, 1, #prefix) ~= prefix then return nil end
  local ours = string.sub(id, #prefix + 1)
  ours = string.gsub(string.gsub(ours, '%-r%d+$', ''), '%-g%d+$', '')
  local run_id = string.match(ours, '^run%-(.+)%-%d+$')
  if run_id then return run_member(run_id) end
  local hook_id = string.match(ours, '^hook%-(.+)$')
  return hook_id and 'hook:' .. hook_id
end
