-- Write a delivery's job hash as RQ itself would have written it (tests/rq/test_rq_contract.py),
-- empty fields left out. RQ carries the delivery and nothing more: what to run stands in the
-- record.
--@ include total
local function write_job(job, id, ns, entry, queue, status, at)
  put(job,
    'created_at', at, 'enqueued_at', at, 'origin', queue, 'status', status,
    'description', entry .. ' ' .. id,
    'data', '["stepflow.entry.' .. entry .. '", null, ["' .. ns .. '", "' .. id .. '"], {}]',
    'timeout', '-1', 'result_ttl', '0')
end
