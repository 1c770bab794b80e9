"""Waiting for conditions: no test sleeps for a while and hopes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: seconds no condition may take, however busy the machine is; reached only when a test fails
PATIENCE_S = 120.0


def until(
    condition: Callable[[], T], *, what: str, patience_s: float = PATIENCE_S, look_s: float = 0.02
) -> T:
    """
    Look until *condition* holds and give what it gave; raises AssertionError naming *what* did not
    come.
    """
    end = time.monotonic() + patience_s
    while not (held := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience_s:g} s in vain for {what}")
        time.sleep(look_s)
    return held
