"""The beat: the signs of life that RQ's tools look for, written from a thread of its own, that nothing waits for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Self

log = logging.getLogger("stepflow.worker")

#: seconds between signs of life in RQ's worker hash
BEAT_S = 10.0


class Beating:
    """Calls *beat* every few seconds while it is entered; one that hangs or fails holds up itself alone."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self._beat = beat
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stepflow-beat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """End the thread; returns when it has ended, or after a moment: it may hang."""
        self._over.set()
        self._thread.join(timeout=0.2)

    def _run(self) -> None:
        while not self._over.wait(BEAT_S):
            try:
                self._beat()
            except Exception as error:  # noqa: BLE001  it fails in RQ's ways; the next beat tells what this one did not
                log.warning("RQ could not be told that this worker lives (%s: %s)", type(error).__name__, error)
