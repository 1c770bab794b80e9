"""
Looks all the time at who has claimed what: never more than a limit allows, and never idle with
somebody in line.

One script reads it all, so a look is one instant. What counts is claims: a worker that was stopped
past its lease may go on with its own code meanwhile.

How long a slot is free beside a line is counted in rounds of a worker, not in seconds: each worker
says once a round that it lives, and looks at lines in the same round. On a machine that has no time
for the workers there are no rounds either, so a slow one breaks nothing here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import redis

#: rounds of one worker for which a slot may be free beside a line: one that had begun before it was
#: free, one that finds it, one in which the run that was called is claimed; and one of grace
MOST_ROUNDS = 4
#: when each worker made its last round, and for each key claimed runs and steps of claimed runs,
#: slots, the line, and those called within the last second; nothing while the queue is paused
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
local paused = redis.call('HEXISTS', 'stepflow:paused_queues', 'default')
local rounds = redis.call('ZRANGE', 'stepflow:workers:default', 0, -1, 'WITHSCORES')
local answer = {tostring(now), paused, rounds}
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
        #: looks; most claims of one key that were seen at once; most rounds of a worker for which a
        #: slot was free and somebody waited
        self.looks, self.most, self.idle_rounds = 0, 0, 0
        self.wrong: list[str] = []
        #: by key: the last round of each worker, and how many it has made, since a slot is free
        self._idle: dict[str, dict[bytes, tuple[bytes, int]]] = {}

    @property
    def told(self) -> str:
        """Say in a line what was seen."""
        return (
            f"limits: {self.looks} looks, {self.most} of {self._limit} at most, a slot free beside "
            f"a line for {self.idle_rounds} rounds of a worker at most"
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(timeout=30)

    def _look_on(self) -> None:
        while not self._over.is_set():
            try:
                now, paused, told, *rest = self._client().eval(_LOOK, 0, self._name, *self._keys)
            except (redis.RedisError, OSError):  # the server is being killed
                self._idle.clear()
                with suppress(Exception):
                    time.sleep(0.05)
                continue
            self.looks += 1
            rounds = {} if paused else dict(zip(told[::2], told[1::2], strict=True))
            for number, key in enumerate(self._keys):
                self._judge(key, float(now), rounds, *rest[4 * number : 4 * number + 4])
            time.sleep(0.005)

    def _judge(
        self,
        key: str,
        now: float,
        rounds: dict[bytes, bytes],
        claims: int,
        slots: int,
        line: int,
        called: int,
    ) -> None:
        self.most = max(self.most, claims)
        if claims > self._limit:
            self.wrong.append(f"{claims} of {self._limit} of key {key} were claimed at {now:.3f}")
        if slots < claims:
            self.wrong.append(f"{claims} of key {key} are claimed with {slots} slots at {now:.3f}")
        if slots + called >= self._limit or not line or not rounds:
            self._idle.pop(key, None)
            return
        seen = self._idle.setdefault(key, {})
        for worker, at in rounds.items():
            last, count = seen.get(worker, (at, 0))
            seen[worker] = (at, count + (at != last))
            if seen[worker][1] > self.idle_rounds:
                self.idle_rounds = seen[worker][1]
                if self.idle_rounds > MOST_ROUNDS:
                    self.wrong.append(
                        f"a slot of key {key} was free with {line} in line for {self.idle_rounds} "
                        f"rounds of {worker.decode()} at {now:.3f}"
                    )
