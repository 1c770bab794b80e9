-- Take the first signal of some names out of the run's mailbox and remember it in the journal, in one write.
-- Caller: store/journal.py take_signal, for the flow kit.
-- KEYS  1 run  2 journal  3 mailbox  4 sent ids
-- ARGV  1 token  2 index of the entry  3 head of the entry  4 ... names
-- The entry written is the head, the name, '|' and the packed payload.
-- Gives {inbox count, item taken}, {inbox count} when there is none, or {} when the claim is not the caller's any more.
--@ include total
--@ include entry
--@ include mailbox
local row = redis.call('HMGET', KEYS[1], 'token', 'inbox')
if row[1] ~= ARGV[1] then return {} end
local inbox, index = tonumber(row[2] or 0), tonumber(ARGV[2])
local before = remembered(KEYS[2], index, ARGV[3])
if before == false then return {} end
if before then return {inbox, before} end
for _, item in ipairs(soft('LRANGE', KEYS[3], 0, -1) or {}) do
  for i = 4, #ARGV do
    local name = ARGV[i] .. '|'
    if string.sub(item, 1, #name) == name then
      item = take_mail(KEYS[1], KEYS[3], KEYS[4], item, name)
      remember(KEYS[1], KEYS[2], index, ARGV[3] .. item)
      return {inbox, item}
    end
  end
end
return {inbox}
