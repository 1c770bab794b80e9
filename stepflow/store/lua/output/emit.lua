-- Write a batch of items to the output stream of the run, under the claim; leaves rev alone. A claim
-- sends one batch after the other: a second arrival is the one that was written last.
-- Caller: store/events/output.py emit, for worker/events/writer.py.
-- Names: rev: of the claim; batch: its name, another one for each batch; sent: data or '' for a
-- reset, topic or '', scope, attempt or ''.
-- Gives 1 written, 0 refused: the claim is not the caller's any more.
--@ include lists
--@ include output
--@ include publish
--@ keys run output
--@ args token rev batch channel most_items most_bytes sent*
local row = redis.call('HMGET', run_key, 'token', 'out')
if row[1] ~= token then return 0 end
local bytes, last_batch = noted(row[2])
if last_batch == batch then return 1 end
local first, second = next_id(output_key, rev)
local parts = table_of(sent)
for i = 1, #parts, 4 do
  local id = first .. '-' .. second
  bytes = bytes + put_item(output_key, id, parts[i], parts[i + 1], parts[i + 2], parts[i + 3])
  second = second + 1
end
keep_bounds(run_key, output_key, bytes, batch, tonumber(most_items), tonumber(most_bytes))
publish(channel, 'more')
return 1
