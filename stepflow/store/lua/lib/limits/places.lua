-- Places in line that steps keep from one claim of their run to the next.
--@ include limits/admit

-- Give up the places in line that a step, or its parts, have from an earlier claim of their run.
local function leave_places(at, run_id, token, step)
  local asks = asks_of(run_of(at.ns, run_id))
  local all = soft('HGETALL', asks) or {}
  for i = 1, #all, 2 do
    local is_its = all[i] == step or string.sub(all[i], 1, #step + 1) == step .. '.'
    local ask = is_its and read_ask(at, run_id, all[i], all[i + 1])
    if ask and ask.token == '' and string.sub(ask.asked, 1, #token + 1) ~= token .. '|' then
      redis.call('HDEL', asks, ask.step)
      leave(at, ask.id, limits_in(at, ask.limits))
    end
  end
end
