-- A queue that a claim takes deliveries out of, as lib/sources has it.
--@ include total
--@ include keys
--@ include lanes/refill

-- Fill the list of a fair queue out of its lanes: up to its window, and *least* entries at least.
-- Gives what is left in it.
local function refill_source(source, ns, laned, least, now)
  source.is_laned = not source.is_paused and source.list == list_of(source.queue)
    and soft('SISMEMBER', laned, source.queue) == 1
  if source.is_laned then
    local size = math.max(least, window_of(ns, source.queue))
    source.left = refill(ns, source.queue, source.list, source.queued_at, size, now)
  end
  return source.left
end
