"""The worker's own log lines on stderr, which no logging configuration of the app takes away."""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import nullcontext, suppress
from typing import Any

FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
#: how the names of our loggers begin
OURS = "stepflow"
#: how the names of our loggers go on
ROOMS = (
    "archive", "cli", "client", "connection", "embedded", "flow", "hook", "log", "run",
    "supervisor", "worker",
)  # fmt: skip


def log_to_stderr(level: str, formatter: logging.Formatter | None = None) -> None:
    """
    Send what stepflow logs from *level* on to stderr; call it once the app is imported.

    *formatter* writes the lines, also those of the app where it has configured no logging.

    An app may set the level of a `stepflow` logger. What it does to all loggers is not meant for
    ours and changes nothing: `dictConfig` with `disable_existing_loggers`, other handlers of the
    root, `logging.disable`. Its own handlers get our lines as usual.
    """
    last_way = _LastWay(_copy_of_stderr())
    last_way.setFormatter(formatter or _LineFormatter(FORMAT))
    _OwnLogger.last_way = last_way
    logging.basicConfig(level=level.upper(), handlers=[_OwnLogger.last_way])
    for noisy in ("httpx", "httpcore", "asyncio"):
        if logging.getLogger(noisy).level == logging.NOTSET:
            logging.getLogger(noisy).setLevel("WARNING")
    top = logging.getLogger(OURS)
    if top.level == logging.NOTSET:
        top.setLevel(level.upper())
    for name in (OURS, *(f"{OURS}.{room}" for room in ROOMS)):
        logger = logging.getLogger(name)
        if type(logger) is logging.Logger:
            logger.__class__ = _OwnLogger
            logger._cache.clear()  # type: ignore[attr-defined]  # noqa: SLF001  filled by other rules


def _copy_of_stderr() -> Any:
    """
    Open a stream of its own to stderr as it is now.

    When an app closes stderr, descriptor 2 soon belongs to a connection, which must get no lines.
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


class _LineFormatter(logging.Formatter):
    """Writes the time of day once a second: a busy worker has ten thousand lines in one."""

    _second, _written = -1, ""

    def line(self, created: float, level: str, message: str) -> str:
        """Write what `format` makes of a record with no more to it than these."""
        return f"{self._time(created, created % 1 * 1000)} {level:<7} {message}"

    def formatTime(  # noqa: N802
        self, record: logging.LogRecord, datefmt: str | None = None
    ) -> str:
        """Write the time as `logging` does by default; the handler holds its lock."""
        del datefmt
        return self._time(record.created, record.msecs)

    def _time(self, created: float, msecs: float) -> str:
        second = int(created)
        if second != self._second:
            self._written = time.strftime(self.default_time_format, self.converter(second))
            self._second = second
        return f"{self._written},{int(msecs):03d}"


class _LastWay(logging.StreamHandler[Any]):
    """The worker's own handler."""

    def takes_lines(self) -> bool:
        """Whether it writes lines as text alone: no filter looks at their records."""
        return type(self.formatter) is _LineFormatter and not self.filters

    def write_line(self, level: int, message: str) -> None:
        """Write a line without making a record of it: it has no traceback and no more facts."""
        assert isinstance(self.formatter, _LineFormatter)
        # as `handleError` does; one that was started without stderr has no stream
        with suppress(OSError, ValueError, AttributeError), self.lock or nullcontext():
            name = logging.getLevelName(level)
            self.stream.write(self.formatter.line(time.time(), name, message) + self.terminator)
            self.flush()


class _OwnLogger(logging.Logger):
    """
    A logger that nobody silences by accident.

    No handler or filter of the app can raise into its caller.
    """

    last_way: _LastWay

    @property
    def disabled(self) -> bool:
        """False, always."""
        return False

    @disabled.setter
    def disabled(self, value: bool) -> None:
        """Ignore it: `dictConfig` sets it for all loggers that exist."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802
        """Whether our own level lets *level* pass, whatever `logging.disable` says."""
        known: dict[int, bool] = self._cache  # type: ignore[attr-defined]  # `setLevel` empties it
        if level not in known:
            known[level] = level >= self.getEffectiveLevel()
        return known[level]

    def getEffectiveLevel(self) -> int:  # noqa: N802
        """Return the level of the nearest stepflow logger that has one."""
        logger: logging.Logger | None = self
        while logger is not None and logger is not self.root:
            if logger.level:
                return logger.level
            logger = logger.parent
        return logging.INFO

    def info(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """
        Log a line as `Logger.info` does, without a record where nobody would look at one.

        Each end of a run is one: the search for its caller costs as much as the line.
        """
        if self.isEnabledFor(logging.INFO):
            if kwargs or not self._is_alone():
                level = kwargs.pop("stacklevel", 1) + 1  # this frame is none of the caller's
                super().info(msg, *args, stacklevel=level, **kwargs)
            else:
                self.last_way.write_line(logging.INFO, str(msg) % args if args else str(msg))

    def _is_alone(self) -> bool:
        """Whether nothing but the last way gets its lines."""
        logger: logging.Logger | None = self
        while logger is not None:
            if logger.filters or any(each is not self.last_way for each in logger.handlers):
                return False
            logger = logger.parent
        return (
            self.last_way.level <= logging.INFO
            and self.last_way.takes_lines()
            and logging.getLogRecordFactory() is logging.LogRecord
        )

    def callHandlers(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Pass a record to the app's handlers, and to stderr unless one of them writes there."""
        shown = False
        logger: logging.Logger | None = self
        while logger is not None:
            for handler in list(logger.handlers):
                if record.levelno >= handler.level:
                    # a handler of the app may raise: the runtime and its lines must go on
                    with suppress(Exception):
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
