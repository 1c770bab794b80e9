"""
Looks all the time at who has claimed what: never more than a limit allows, and never idle with
somebody in line.

One script reads it all, so a look is one instant. What counts is claims: a worker that was stopped
past its lease may go on with its own code meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import redis

#: claimed runs of each key and steps of claimed runs, slots, line, those called within the last
#: second; live workers, time
_LOOK = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local claimed = {}
for _, member in ipairs(redis.call('ZRANGE', 'stepflow:claims', 0, -1)) do
  local row = redis.call('HMGET', 'stepflow:' .. member, 'token', 'limits')
  local function count(limits)
    for key in string.gmatch(limits, ARGV[1] .. '|([^|\\n]*)|') do
      claimed[key] = (claimed[key] or 0) + 1
    end
  end
  if row[1] and row[1] ~= '' then
    count(row[2] or '')
    for _, ask in ipairs(redis.call('HVALS', 'stepflow:' .. member .. ':asks')) do
      local token, limits = string.match(ask, '^([^\\n]*)\\n[^\\n]*\\n[^\\n]*\\n[^\\n]*\\n(.*)$')
      if token == row[1] then count(limits) end
    end
  end
end
local answer = {tostring(now), redis.call('ZCOUNT', 'stepflow:workers:default', now - 1.3, '+inf')}
for i = 2, #ARGV do
  local of = ':' .. ARGV[1] .. ':' .. ARGV[i]
  answer[#answer + 1] = claimed[ARGV[i]] or 0
  answer[#answer + 1] = redis.call('ZCARD', 'stepflow:slots' .. of)
  answer[#answer + 1] = redis.call('ZCARD', 'stepflow:line' .. of)
  answer[#answer + 1] = redis.call('ZCOUNT', 'stepflow:called' .. of, now - 1, '+inf')
end
return answer
"""


class Gauge:
    """Looks at the *keys* of limit *name*, of which *most* may be at work at once for each."""

    def __init__(
        self, client: Callable[[], Any], name: str, keys: Sequence[str], most: int
    ) -> None:
        self._client, self._name, self._keys, self._limit = client, name, list(keys), most
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)
        #: looks; most claims of one key that were seen at once; longest time (seconds) for which a
        #: slot was free, somebody waited, and a worker lived
        self.looks, self.most, self.idle_s = 0, 0, 0.0
        self.wrong: list[str] = []
        self._idle_since: dict[str, float] = {}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(timeout=30)

    def _look_on(self) -> None:
        while not self._over.is_set():
            try:
                now, live, *rest = self._client().eval(_LOOK, 0, self._name, *self._keys)
            except (redis.RedisError, OSError):  # the server is being killed
                self._idle_since.clear()
                with suppress(Exception):
                    time.sleep(0.05)
                continue
            self.looks += 1
            for number, key in enumerate(self._keys):
                self._judge(key, float(now), live, *rest[4 * number : 4 * number + 4])
            time.sleep(0.005)

    def _judge(
        self, key: str, now: float, live: int, claims: int, slots: int, line: int, called: int
    ) -> None:
        self.most = max(self.most, claims)
        if claims > self._limit:
            self.wrong.append(f"{claims} of {self._limit} of key {key} were claimed at {now:.3f}")
        if slots < claims:
            self.wrong.append(f"{claims} of key {key} are claimed with {slots} slots at {now:.3f}")
        if slots + called >= self._limit or not line or not live:
            self._idle_since.pop(key, None)
            return
        since = self._idle_since.setdefault(key, now)
        self.idle_s = max(self.idle_s, now - since)
