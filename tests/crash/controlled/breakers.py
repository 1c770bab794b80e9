"""
A breaker among all attacks: opened by hand it lets nothing begin, half-open it lets one trial
through, and trials that are lost come back.

Calls are counted, and no time is taken: what may begin while it is open is what had its permit
before, which is at most one call of each run that a worker had then.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

from stepflow import Breaker, Client, Context, RetryPolicy
from stepflow.errors import StepflowError
from tests.crash.support.app import WITNESS
from tests.crash.support.odd import app

NAME = "guard"
#: the app with all kinds of runs, these as well
APP = "tests.crash.controlled.breakers:app"
#: the breaker of all these runs: it opens by itself after three failures in a row
GUARD = Breaker(NAME, failures=3, reset=0.5)

#: seconds after a worker was stopped for which its steps may still begin a call: the longest stop,
#: and time to be told that its claims are lost
LOOSE_S = 15.0

#: trials under way, and how many runs of the kind are claimed, at one instant
_LOOK = """
local held = 0
for _, member in ipairs(redis.call('ZRANGE', 'stepflow:claims', 0, -1)) do
  local row = redis.call('HMGET', 'stepflow:' .. member, 'token', 'runner')
  if row[1] and row[1] ~= '' and row[2] == 'guarded' then held = held + 1 end
end
return {redis.call('HLEN', KEYS[1]), held}
"""


def calls_file() -> Path:
    """Where each call leaves a line, beside what other steps leave."""
    return Path(f"{WITNESS}.calls")


@app.workflow("guarded", retry=RetryPolicy(max_attempts=200, initial=0.02, max_delay=0.1))
async def guarded(ctx: Context, number: int) -> dict[str, object]:
    """Call what fails now and then, once the breaker lets it."""

    async def call() -> int:
        with calls_file().open("a") as file:
            file.write(f"{number} {os.getpid()}\n")
        if random.random() < 0.3:
            raise ConnectionError("the endpoint is down")
        return number

    return {"number": await ctx.options(breaker=GUARD).step("call", call)}


class Breakers:
    """Opens and closes the breaker by hand, and looks at it all the time."""

    def __init__(self, direct: Client, server: Callable[[], Any], witness: Path) -> None:
        self._direct, self._server, self._calls = direct, server, Path(f"{witness}.calls")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)
        self._key = direct.env.keys.breaker(NAME) + ":trials"
        #: while it is open by hand: calls that had been made, runs that workers had, and since when
        self._window: tuple[int, int, float] | None = None
        #: when a worker was stopped, and how many of these runs workers had then
        self._loose: list[tuple[float, int]] = []
        #: looks, most trials seen at once, and times that it was open by hand
        self.looks, self.trials, self.windows = 0, 0, 0
        self.wrong: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(timeout=30)

    def note_stop(self) -> None:
        """Take note that a worker was stopped: it may go on with what it had, past its claims."""
        with suppress(redis.RedisError, OSError):
            self._loose.append((time.monotonic(), self._held()))

    def open(self) -> None:
        """Open it by hand."""
        if self._window is not None:
            return
        with suppress(StepflowError, redis.RedisError, OSError):
            self._direct.breakers.open(NAME, note="chaos")
            self._window = (self._made(), self._held(), time.monotonic())

    def close(self) -> None:
        """Close it, and judge what was called meanwhile."""
        window, self._window = self._window, None
        if window is None:
            return
        made, held, opened_at = window
        came = self._made() - made
        may = held + sum(count for at, count in self._loose if at > opened_at - LOOSE_S)
        self.windows += 1
        if came > may:
            self.wrong.append(f"{came} calls began while the breaker was open, {may} had permits")
        self._close()

    def _held(self) -> int:
        """Count the runs of the kind that workers have."""
        return int(self._server().eval(_LOOK, 1, self._key)[1])

    def _close(self) -> None:
        with suppress(StepflowError):
            self._direct.breakers.close(NAME)

    def make_peace(self) -> None:
        """Close it until it stays so: what fails may still open it."""
        self._window = None
        self._close()

    def left(self) -> list[str]:
        """Say what is left of trials and waits, after all has ended."""
        with suppress(StepflowError):
            seen = self._direct.breakers.get(NAME)
            if seen.waiting or seen.trials:
                return [f"breaker {NAME}: {seen.waiting} wait, {seen.trials} trials"]
        return []

    @property
    def told(self) -> str:
        """Say in a line what was seen."""
        return (
            f"breaker: {self.looks} looks, {self.trials} trials at most, {self._made()} calls, "
            f"{self.windows} times open by hand"
        )

    def _made(self) -> int:
        return self._calls.read_bytes().count(b"\n") if self._calls.exists() else 0

    def _look_on(self) -> None:
        while not self._over.is_set():
            try:
                trials, _ = self._server().eval(_LOOK, 1, self._key)
            except (redis.RedisError, OSError):  # the server is being killed
                time.sleep(0.05)
                continue
            self.looks += 1
            self.trials = max(self.trials, trials)
            if trials > GUARD.trials:
                self.wrong.append(f"{trials} trials are under way at once")
            time.sleep(0.01)
