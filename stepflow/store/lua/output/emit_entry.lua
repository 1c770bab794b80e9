-- Write one item to the output stream of the run and remember that in the journal, in one write: it
-- is said once. The entry is the head and the item's id.
-- Caller: store/events/output.py emit_entry, for the flow kit.
-- Names: index, head: of the entry; rev: of the claim; topic: or ''.
-- Gives {id}, also to a second arrival, or {} when the claim is not the caller's any more.
--@ include lists
--@ include entry
--@ include output
--@ include publish
--@ keys run journal output
--@ args token index head rev channel most_items most_bytes data topic
local at = tonumber(index)
local row = redis.call('HMGET', run_key, 'token', 'out')
if row[1] ~= token then return {} end
local before = remembered(journal_key, at, head)
if before == false then return {} end
if before then return {before} end
local bytes, last_batch = noted(row[2])
local first, second = next_id(output_key, rev)
local id = first .. '-' .. second
bytes = bytes + put_item(output_key, id, data, topic, '', '')
keep_bounds(run_key, output_key, bytes, last_batch, tonumber(most_items), tonumber(most_bytes))
remember(run_key, journal_key, at, head .. id)
publish(channel, 'more')
return {id}
