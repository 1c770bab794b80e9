-- Take the first signal of some names out of the run's mailbox and remember it in the journal, in
-- one write.
-- Caller: store/journal.py take_signal, for the flow kit.
-- Names: index, head: of the entry; names: of the signals that are wanted.
-- The entry written is the head, the name, '|' and the packed payload.
-- Gives {inbox count, item taken}, {inbox count} when there is none, or {} when the claim is not
-- the caller's any more.
--@ include lists
--@ include entry
--@ include mailbox
--@ keys run journal mail sent
--@ args token index head names*
local row = redis.call('HMGET', run_key, 'token', 'inbox')
if row[1] ~= token then return {} end
local inbox, at = tonumber(row[2] or 0), tonumber(index)
local before = remembered(journal_key, at, head)
if before == false then return {} end
if before then return {inbox, before} end
local wanted = table_of(names)
for _, item in ipairs(soft('LRANGE', mail_key, 0, -1) or {}) do
  for _, name in ipairs(wanted) do
    local start = name .. '|'
    if string.sub(item, 1, #start) == start then
      item = take_mail(run_key, mail_key, sent_key, item, start)
      remember(run_key, journal_key, at, head .. item)
      return {inbox, item}
    end
  end
end
return {inbox}
