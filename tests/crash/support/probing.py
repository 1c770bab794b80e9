"""Dies at a named point of the engine, the so-many-th time it is passed: CRASH_AT=commit.done:3."""

from __future__ import annotations

import os
import signal

from stepflow.core import probes


def arm() -> None:
    """Listen for the point in CRASH_AT, if there is one."""
    if "CRASH_AT" not in os.environ:
        return
    point, left = os.environ["CRASH_AT"].split(":")
    assert point in probes.POINTS
    times = int(left)

    def heard(passed: str) -> None:
        nonlocal times
        if passed == point:
            times -= 1
            if times == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    probes.listen(heard)
