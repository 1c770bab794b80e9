"""Growing waits between retries, and warnings that are not repeated too often."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator

#: seconds: the first wait, the longest, and the random part, so that clients spread out
_FIRST_S, _LONGEST_S, _SPREAD_S = 0.05, 2.0, 0.05
#: seconds before the same warning is logged again
_REPEAT_AFTER_S = 30.0

_logged_at: dict[str, float] = {}


def growing_waits() -> Iterator[float]:
    """Yield waits in seconds, each twice the last, up to a limit, with some jitter."""
    wait_s = _FIRST_S
    while True:
        yield wait_s + random.random() * _SPREAD_S
        wait_s = min(_LONGEST_S, 2 * wait_s)


def warn_rarely(log: logging.Logger, message: str) -> None:
    """Log a warning, unless the same message was logged in the last 30 seconds."""
    now = time.monotonic()
    if now - _logged_at.get(message, -_REPEAT_AFTER_S) >= _REPEAT_AFTER_S:
        if len(_logged_at) > 1000:  # noqa: PLR2004  messages may contain a time
            _logged_at.clear()
        _logged_at[message] = now
        log.warning("%s", message)
