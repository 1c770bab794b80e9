-- Publish to whoever listens. A message only saves them a look, so one that may not be sent (a user
-- without the right to the channel) fails nothing: what was written before it stands, and the
-- caller must hear of that.
local function publish(channel, message) redis.pcall('PUBLISH', channel, message) end
