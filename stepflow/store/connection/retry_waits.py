"""Waits that grow, and lines of log that do not repeat themselves."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator

#: seconds: the first wait, the longest, and what chance adds so that many do not come back at once
_FIRST_S, _LONGEST_S, _SPREAD_S = 0.05, 2.0, 0.05
#: seconds between two lines of log that say the same
_REPEAT_AFTER_S = 30.0

_logged_at: dict[str, float] = {}


def growing_waits() -> Iterator[float]:
    """Give waits in seconds, each twice the last."""
    wait_s = _FIRST_S
    while True:
        yield wait_s + random.random() * _SPREAD_S
        wait_s = min(_LONGEST_S, 2 * wait_s)


def warn_rarely(log: logging.Logger, message: str) -> None:
    """Log a warning, and the same one again only now and then while it goes on."""
    now = time.monotonic()
    if now - _logged_at.get(message, -_REPEAT_AFTER_S) >= _REPEAT_AFTER_S:
        if len(_logged_at) > 1000:  # noqa: PLR2004  messages differ, as by a time that stands in them
            _logged_at.clear()
        _logged_at[message] = now
        log.warning("%s", message)
