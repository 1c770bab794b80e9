-- The output stream of a run: items d (data), t (topic unless it is "out"), s (scope), a (attempt,
-- from the second one on); a reset has no data. Ids are "<rev of the claim>-<number>". The run's
-- record says in "out" how many bytes its items have and which batch was the last: "<bytes>|<batch>".
-- The last item that had to go is in "out_gone".
--@ include total

-- Give the parts of the id that the next item is to have.
local function next_id(output, rev)
  local last = soft('XREVRANGE', output, '+', '-', 'COUNT', 1)
  if last == nil then redis.call('DEL', output) end -- no stream of ours
  if not last or not last[1] then return rev, 1 end
  local first, second = string.match(last[1][1], '^(%d+)%-(%d+)$')
  if tonumber(first) < tonumber(rev) then return rev, 1 end
  return first, tonumber(second) + 1
end

local function weight_of(fields)
  local sum = 0
  for i = 2, #fields, 2 do sum = sum + #fields[i] end
  return sum
end

-- Write one item under an id; gives its weight. Data '' makes a reset.
local function put_item(output, id, data, topic, scope, attempt)
  local fields = {}
  local function add(name, value) fields[#fields + 1], fields[#fields + 2] = name, value end
  if data ~= '' then add('d', data) end
  if topic ~= '' then add('t', topic) end
  if scope ~= '' then add('s', scope) end
  if attempt ~= '' then add('a', attempt) end
  redis.call('XADD', output, id, unpack(fields))
  return weight_of(fields)
end

-- Take the oldest items away that the bounds leave no room for, and note what was written. The last
-- item stays in any case.
local function keep_bounds(run, output, bytes, batch, most_items, most_bytes)
  local length, gone = redis.call('XLEN', output), false
  local function is_full() return length > most_items or bytes > most_bytes end
  while length > 1 and is_full() do -- each turn takes one away at least
    for _, item in ipairs(redis.call('XRANGE', output, '-', '+', 'COUNT', 64)) do
      if length > 1 and is_full() then
        redis.call('XDEL', output, item[1])
        bytes, length, gone = bytes - weight_of(item[2]), length - 1, item[1]
      end
    end
  end
  redis.call('HSET', run, 'out', math.max(bytes, 0) .. '|' .. batch)
  if gone then redis.call('HSET', run, 'out_gone', gone) end
end

-- Read what the record says: the bytes, and the last batch.
local function noted(out)
  local bytes, batch = string.match(out or '', '^(%d+)|(.*)$')
  return whole(bytes) or 0, batch or ''
end
