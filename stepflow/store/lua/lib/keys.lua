-- Names of keys that only a record or an index tells of. store/keys.py has the table of all keys,
-- and tests/store/test_scripts.py holds both together.
local function record_of(ns, member) return ns .. ':' .. member end
local function run_of(ns, run_id) return ns .. ':run:' .. run_id end
local function data_of(run) return run .. ':data' end
local function asks_of(run) return run .. ':asks' end
local function children_of(run, generation) return run .. ':children:' .. generation end
local function queued_at_of(ns, queue) return ns .. ':queued_at:' .. queue end
local function ended_index_of(ns, state) return ns .. ':idx:ended:' .. state end
local function runner_index_of(ns, group, runner) return ns .. ':idx:' .. group .. ':' .. runner end
local function tag_index_of(ns, tag) return ns .. ':idx:tag:' .. tag end
-- of the version before: its ends, and all runs of a runner, both by when they were made
local function old_ended_index_of(ns, state) return ns .. ':idx:' .. state end
local function old_runner_index_of(ns, runner) return ns .. ':idx:runner:' .. runner end

-- The RQ queues behind a queue, one for each priority, share one wake list and are paused together.
local function queue_of(rq_queue)
  local name, suffix = string.match(rq_queue, '^(.+)%.(%w+)$')
  local is_one = name and (suffix == 'high' or suffix == 'low' or string.find(suffix, '^level%d$'))
  return is_one and name or rq_queue
end
local function wake_of(ns, queue) return ns .. ':wake:' .. queue_of(queue) end

-- what workers listen to, before the name of each
local function tell_of(ns) return ns .. ':tell:' end

local function runner_wake_of(ns, runner) return ns .. ':wake:@' .. runner end
local function waiting_list_of(ns, queue, runner)
  return ns .. ':waiting:' .. queue .. ':' .. runner
end

-- of fair queues: which have runs in lanes, weights and windows, the lanes of one, and one of those
local function laned_of(ns) return ns .. ':laned' end
-- which priorities without a name are in use, and whether one was of late
local function levels_of(ns) return ns .. ':levels' end
local function level_of(ns, queue) return ns .. ':level:' .. queue end
local function fair_of(ns) return ns .. ':fair' end
local function lanes_of(ns, queue) return ns .. ':lanes:' .. queue end
local function lane_of(ns, queue, lane) return ns .. ':lane:' .. queue .. ':' .. lane end
-- of a limit: what it says, which keys have a line or slots, and what it keeps for one key
local function limits_of(ns) return ns .. ':limits' end
local function lines_of(ns) return ns .. ':lines' end
local function slots_of(ns) return ns .. ':slots' end
-- the line that a field `held` names, nil for none
local function line_of_held(ns, held)
  local name, key = string.match(held or '', '^([%w_.-]+)|([^|]*)|[%d.]+$')
  return name and ns .. ':line:' .. name .. ':' .. key
end
local function kept_of(ns, kind, name, key) return ns .. ':' .. kind .. ':' .. name .. ':' .. key end

local function list_of(queue) return 'rq:queue:' .. queue end
local function job_of(id) return 'rq:job:' .. id end
local function scheduled_of(queue) return 'rq:scheduled:' .. queue end
local function failed_of(queue) return 'rq:failed:' .. queue end
