-- The mailbox: items "<name>|<packed payload>", or "<name>|", a byte that no packed value begins
-- with, and the id of a signal whose payload is kept in the hash of sent ids, under '=' and that
-- id. The run's record counts the bytes of all.
--@ include total
local POINTS = '\193'

-- Count so many bytes more; a count that cannot be read begins anew.
local function weigh(run, bytes)
  local sum = redis.pcall('HINCRBY', run, 'mailed', bytes)
  if type(sum) ~= 'number' or sum <= 0 then redis.call('HDEL', run, 'mailed') end
end

local function put_mail(run, mail, sent, id, item, longest)
  weigh(run, #item)
  if #item > longest then
    local bar = string.find(item, '|', 1, true)
    put(sent, '=' .. id, string.sub(item, bar + 1))
    item = string.sub(item, 1, bar) .. POINTS .. id
  end
  redis.call('RPUSH', mail, item)
end

-- Take *item*, which begins with *head*, out of the mailbox; give it with its payload.
local function take_mail(run, mail, sent, item, head)
  redis.call('LREM', mail, 1, item)
  if string.sub(item, #head + 1, #head + 1) == POINTS then
    local kept = '=' .. string.sub(item, #head + 2)
    item = head .. (soft('HGET', sent, kept) or '')
    soft('HDEL', sent, kept)
  end
  weigh(run, -#item)
  return item
end

-- The items that begin with *head*, none for an empty one, and the bytes that are counted for them.
local function mail_of(mail, sent, head)
  local found, bytes = {}, 0
  if head == '' then return found, bytes end
  for _, item in ipairs(soft('LRANGE', mail, 0, -1) or {}) do
    if string.sub(item, 1, #head) == head then
      found[#found + 1] = item
      bytes = bytes + #item
      if string.sub(item, #head + 1, #head + 1) == POINTS then
        local id = string.sub(item, #head + 2)
        bytes = bytes - #id - 1 + #(soft('HGET', sent, '=' .. id) or '')
      end
    end
  end
  return found, bytes
end

-- Note how a signal was answered, and forget the oldest where more than *most* are noted. Field '#'
-- counts them; the fields '#0', '#1' ... form a ring and say which is forgotten next.
local function note_sent(sent, id, answer, most)
  local count = count_up(sent, '#')
  if not count then -- no list of ours
    redis.call('DEL', sent)
    count = redis.call('HINCRBY', sent, '#', 1)
  end
  local turn = '#' .. (count - 1) % most
  local oldest = redis.call('HGET', sent, turn)
  if oldest then redis.call('HDEL', sent, oldest) end
  redis.call('HSET', sent, turn, id, id, answer)
end
