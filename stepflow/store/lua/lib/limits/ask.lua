-- Steps that ask for room on behalf of their run. In lines and among slots one is called
-- `<run id>/<step>`. What it has, or waits for, is a field of a hash of its run: the token of the
-- claim that has it, '' while it waits; `held` as the record of a run has it; its name; who asked last,
-- `<token>|<number>`: a claim numbers its asks; its limits.
--@ include limits/limit
--@ include keys

local function split_step(id) return string.match(id, '^([%w_-]+)/(.+)$') end

-- Read what a step asks for; nil when it asks for nothing any more.
local function read_ask(at, run_id, step, text)
  local token, held, name, asked, limits =
    string.match(text or '', '^([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n(.*)$')
  return token and {id = run_id .. '/' .. step, record = run_of(at.ns, run_id), run_id = run_id,
    step = step, token = token, held = held, name = name, asked = asked, limits = limits}
end

local function ask_of(at, run_id, step)
  return read_ask(at, run_id, step, soft('HGET', asks_of(run_of(at.ns, run_id)), step))
end

-- Whether what was asked last, as one wrote it down, was asked by that claim with a number of at least
-- this.
local function is_past(asked, token, number)
  return string.sub(asked, 1, #token + 1) == token .. '|'
    and tonumber(string.sub(asked, #token + 2)) >= tonumber(number)
end

-- Whether it stands in line.
local function stands_in(at, ask)
  local line = ask.token == '' and line_of_held(at.ns, ask.held)
  return line and soft('ZSCORE', line, ask.id)
end

local function write_ask(ask)
  local text = table.concat({ask.token, ask.held, ask.name, ask.asked, ask.limits}, '\n')
  put(asks_of(ask.record), ask.step, text)
end
