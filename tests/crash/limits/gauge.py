"""
Looks all the time at who has claimed what: never more than a limit allows, and never idle with
somebody in line.

One script reads it all, so a look is one instant. What counts is claims: a worker that was stopped
past its lease may go on with its own code meanwhile.

How long a slot is free beside a line is counted in rounds of a worker that lives: it says at the
beginning of each that it lives, and looks at lines in the course of it, so a slot that was free
when a round began and is free when the next one begins was overlooked. A worker whose rounds were
further apart was stopped or killed in between. When a look comes late, the machine had no time for
anybody, and what was seen before counts for nobody.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import redis

#: rounds that a worker may begin while a slot is free beside a line: the first finds that
MOST_ROUNDS = 1
#: rounds of a worker that lives are no further apart than this
ROUND_S = 1.5
#: seconds after which a look is late
LATE_S = 0.2
#: when each worker made its last round, and for each key claimed runs and steps of claimed runs,
#: slots, those in line, and those called within the last second. Steps in line whose run is with a
#: worker that is gone cannot go on before its lease is over, and are left out.
_LOOK = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local claimed = {}

local function is_with_the_dead(id)
  local token = redis.call('HGET', 'stepflow:run:' .. string.match(id, '^[^/]*'), 'token') or ''
  local worker = string.match(token, '^(.*)%.[^.]*%.$')
  local round = worker and redis.call('ZSCORE', 'stepflow:workers:default', worker)
  return token ~= '' and (tonumber(round or nil) or 0) < now - ARGV[2]
end

local function living(key, from)
  local count = 0
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, from, '+inf')) do
    if not is_with_the_dead(id) then count = count + 1 end
  end
  return count
end

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
for i = 3, #ARGV do
  local of = ':' .. ARGV[1] .. ':' .. ARGV[i]
  answer[#answer + 1] = claimed[ARGV[i]] or 0
  answer[#answer + 1] = redis.call('ZCARD', 'stepflow:slots' .. of)
  answer[#answer + 1] = living('stepflow:line' .. of, '-inf')
  answer[#answer + 1] = living('stepflow:called' .. of, now - 1)
end
return answer
"""


@dataclass
class Idle:
    """
    A time in which a slot of *key* was free with *line* in line, from *since* on.

    While it lasts, *until* is None. *late_s* is what looks were late in it, *rounds* how many each
    worker has begun in it.
    """

    key: str
    line: int
    since: float
    until: float | None = None
    late_s: float = 0.0
    rounds: dict[bytes, int] = field(default_factory=dict)
    is_told: bool = False


class Gauge:
    """Looks at the *keys* of limit *name*, of which *most* may be at work at once for each."""

    def __init__(
        self, client: Callable[[], Any], name: str, keys: Sequence[str], most: int
    ) -> None:
        self._client, self._name, self._keys, self._limit = client, name, list(keys), most
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)
        #: looks; most claims of one key that were seen at once; most seconds for which a slot was
        #: free and somebody waited while one worker lived
        self.looks, self.most, self.idle_s = 0, 0, 0.0
        self.wrong: list[str] = []
        #: the first and the last round of each worker, since it lives
        self._lives: dict[bytes, tuple[float, float]] = {}
        self._idle: list[Idle] = []
        self._last_look = 0.0

    @property
    def told(self) -> str:
        """Say in a line what was seen."""
        return (
            f"limits: {self.looks} looks, {self.most} of {self._limit} at most, a slot free beside "
            f"a line for {self.idle_s:.3f} s at most while a worker lived"
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(timeout=30)

    def _look_on(self) -> None:
        while not self._over.is_set():
            try:
                seen = self._client().eval(_LOOK, 0, self._name, ROUND_S, *self._keys)
            except (redis.RedisError, OSError):  # the server is being killed
                self._idle.clear()
                self._lives.clear()
                with suppress(Exception):
                    time.sleep(0.05)
                continue
            self.note(seen)
            time.sleep(0.005)

    def note(self, seen: Sequence[Any]) -> None:
        """Take in what one look has seen."""
        now, paused, told, *rest = seen
        self.looks += 1
        self._note_time(float(now), dict(zip(told[::2], told[1::2], strict=True)))
        for number, key in enumerate(self._keys):
            found = rest[4 * number : 4 * number + 4]
            self._judge(key, float(now), *found, is_paused=bool(paused))

    def _note_time(self, now: float, rounds: dict[bytes, bytes]) -> None:
        """Note who lives, and for how long slots have been free."""
        late_s, self._last_look = now - (self._last_look or now), now
        if late_s > LATE_S:
            for idle in self._idle:
                idle.rounds.clear()
                idle.late_s += late_s if idle.until is None else 0.0
        for worker, text in rounds.items():
            at = float(text)
            first, last = self._lives.get(worker, (at, at))
            self._lives[worker] = (first if at - last <= ROUND_S else at, at)
            if at > last:
                self._note_round(worker, at, is_alive=at - last <= ROUND_S)
        for idle in self._idle:
            self._measure(idle, now)
        # the last round of a worker that lived to its end is seen later
        self._idle = [each for each in self._idle if each.until is None or now < each.until + 3]

    def _note_round(self, worker: bytes, at: float, *, is_alive: bool) -> None:
        """Note that a worker has begun a round, and whether it has lived since the one before."""
        for idle in self._idle:
            if not is_alive:
                idle.rounds.pop(worker, None)
            elif idle.since < at < (idle.until or math.inf):
                idle.rounds[worker] = idle.rounds.get(worker, 0) + 1

    def _measure(self, idle: Idle, now: float) -> None:
        until = now if idle.until is None else idle.until
        for worker, (first, last) in self._lives.items():
            idle_s = min(until, last) - max(idle.since, first) - idle.late_s
            self.idle_s = max(self.idle_s, idle_s)
            if idle.rounds.get(worker, 0) > MOST_ROUNDS and not idle.is_told:
                idle.is_told = True
                self.wrong.append(
                    f"a slot of key {idle.key} was free with {idle.line} in line for {idle_s:.3f} "
                    f"s from {idle.since:.3f} on, in {idle.rounds[worker]} rounds of "
                    f"{worker.decode()}"
                )

    def _judge(
        self, key: str, now: float, claims: int, slots: int, line: int, called: int, *,
        is_paused: bool,
    ) -> None:  # fmt: skip
        self.most = max(self.most, claims)
        if claims > self._limit:
            self.wrong.append(f"{claims} of {self._limit} of key {key} were claimed at {now:.3f}")
        if slots < claims:
            self.wrong.append(f"{claims} of key {key} are claimed with {slots} slots at {now:.3f}")
        is_idle = slots + called < self._limit and line > 0 and not is_paused
        present = next((each for each in self._idle if each.key == key and not each.until), None)
        if is_idle and present is None:
            self._idle.append(Idle(key, line, now))
        elif present is not None and not is_idle:
            present.until = now
