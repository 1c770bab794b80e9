"""
The worker's own lines on stderr.

No logging configuration of the app, at its import or later, takes them away.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import Any

FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
#: where our loggers' names begin
OURS = "stepflow"
#: what follows in the names of our loggers
ROOMS = ("flow", "hook", "link", "run", "supervisor", "worker")


def log_to_stderr(level: str) -> None:
    """
    Have what stepflow logs come out on stderr from *level* on; once the app is imported.

    An app that sets the level of a `stepflow` logger is obeyed. What it does to all loggers is not
    meant for ours: `dictConfig` with `disable_existing_loggers`, other handlers of the root,
    `logging.disable`. Its own handlers get our lines as ever.
    """
    stream = _copy_of_stderr()
    logging.basicConfig(level=level.upper(), format=FORMAT, stream=stream)
    for noisy in ("httpx", "httpcore", "asyncio"):
        if logging.getLogger(noisy).level == logging.NOTSET:
            logging.getLogger(noisy).setLevel("WARNING")
    top = logging.getLogger(OURS)
    if top.level == logging.NOTSET:
        top.setLevel(level.upper())
    _OwnLogger.last_way = logging.StreamHandler(stream)
    _OwnLogger.last_way.setFormatter(logging.Formatter(FORMAT))
    for name in (OURS, *(f"{OURS}.{room}" for room in ROOMS)):
        logger = logging.getLogger(name)
        if type(logger) is logging.Logger:
            logger.__class__ = _OwnLogger


def _copy_of_stderr() -> Any:
    """
    Give a stream to stderr as it is now.

    Closed, descriptor 2 soon is a connection, which must be sent no lines.
    """
    with suppress(OSError, ValueError, AttributeError):  # stderr is none of the system's, or closed
        return os.fdopen(
            os.dup(sys.stderr.fileno()),
            "w",
            buffering=1,
            encoding="utf-8",
            errors="backslashreplace",
        )
    return sys.stderr


class _OwnLogger(logging.Logger):
    """
    A logger that cannot be silenced by accident, and whose caller no handler or filter of the app
    can harm.
    """

    last_way: logging.StreamHandler[Any]

    @property
    def disabled(self) -> bool:
        """Never."""
        return False

    @disabled.setter
    def disabled(self, wish: bool) -> None:
        """Leave it as it is: it is said to all that are there, by `dictConfig`."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802
        """Go by our own level, not by `logging.disable`."""
        return level >= self.getEffectiveLevel()

    def getEffectiveLevel(self) -> int:  # noqa: N802
        """Give the level of the nearest of ours that has one."""
        logger: logging.Logger | None = self
        while logger is not None and logger is not self.root:
            if logger.level:
                return logger.level
            logger = logger.parent
        return logging.INFO

    def callHandlers(self, record: logging.LogRecord) -> None:  # noqa: N802
        """
        Give a record to the app's handlers, and to stderr unless one of them has put it there.
        """
        shown = False
        logger: logging.Logger | None = self
        while logger is not None:
            for handler in list(logger.handlers):
                if record.levelno >= handler.level:
                    with suppress(
                        Exception
                    ):  # of the app's handler: the runtime must go on, and be heard
                        handler.handle(record)
                        shown = shown or self._writes_to_stderr(handler)
            logger = logger.parent if logger.propagate else None
        if not shown:
            self.last_way.handle(record)

    def _writes_to_stderr(self, handler: logging.Handler) -> bool:
        stream = getattr(handler, "stream", None)
        if stream is None or stream is self.last_way.stream:
            return stream is not None
        with suppress(OSError, ValueError, AttributeError):
            return os.path.sameopenfile(stream.fileno(), self.last_way.stream.fileno())
        return False
